// Each order goes through all of its steps, also where the nodes die meanwhile; what has another name is not heard.
import assert from "node:assert/strict";
import { HOSTILE, connected, end, number, open, publish, restartAll, shows, until } from "./stage.mjs";

const STEPS = ["received", "paid", "packed", "shipped", "delivered"];
const page = await open();
await connected(page);
const rows = page.locator("#orders tr");
const row = (order) => rows.filter({ has: page.getByRole("rowheader", { name: `#${order}`, exact: true }) }).locator("td");
await until("there are orders", async () => (await rows.count()) >= 2);

const newest = async () => Number((await page.locator("#orders th").first().textContent()).slice(1));
async function isComplete(order) {
  await shows(row(order).first(), "delivered");
  assert.equal(await row(order).nth(1).textContent(), STEPS.slice(0, -1).join(" → "), "each step once, in order");
}
const during = [];
await restartAll(async () => {
  during.push(await newest());
  await connected(page);
});
during.push(await newest());
for (const order of during) await isComplete(order);
assert.equal(await page.locator("#missed").textContent(), "");

// The same step again is no step; another name is not listened to; a client may not say how an order is.
const order = 4_000_000;
const say = (status, event = "order") => publish("orders:shop", { order, status }, "EVENT", event, "KEY", `order-${order}-${status}`, "TYPE", "json");
await say("received");
await say("received");
await say("invoiced", "invoice");
await say("paid");
await shows(row(order).first(), "paid");
assert.equal(await row(order).nth(1).textContent(), "received");
assert.equal(await page.evaluate(async () => (await fetch("/rooms/orders:shop/messages", { method: "POST", body: "{}" })).status), 403);

// From history, all that was there before.
const late = await open();
await connected(late);
const lateRow = late.locator("#orders tr").filter({ hasText: `#${order}` });
await shows(lateRow, /^#4000000paidreceived$/);
assert.ok((await number(late.locator("#heard"))) > 10);

await publish("orders:shop", { order: HOSTILE, status: HOSTILE }, "EVENT", "order", "TYPE", "json");
await shows(page.locator("#orders th"), HOSTILE);
await end();
