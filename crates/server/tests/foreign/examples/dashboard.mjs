// The past is there at once, the figures go on, and none is missing when the nodes die.
import assert from "node:assert/strict";
import { connected, end, number, open, publish, restartAll, shows, until } from "./stage.mjs";

const page = await open();
await connected(page);
const samples = page.locator("#samples"), missing = page.locator("#missing");
const figures = ["commands", "memory", "clients", "load"];
await until("there are samples", async () => (await number(samples)) >= 4);
for (const figure of figures) {
  await shows(page.locator(`#${figure} output`), /^\d+(\.\d+)?$/);
  await until("a line is drawn", async () => (await page.locator(`#${figure} polyline`).getAttribute("points")).split(" ").length >= 3);
}

await restartAll(async () => {
  const before = await number(samples);
  await connected(page);
  await until("it goes on", async () => (await number(samples)) > before + 2);
});
await connected(page);
assert.equal(await number(missing), 0);

// A page that is opened now has the past without having listened.
const seen = await number(samples);
const late = await open();
await until("the past is there", async () => (await number(late.locator("#samples"))) >= seen);

// The figure counts what is missing, where something is: that it is 0 above means something.
const sample = { commands: "<b>1</b>", memory: 2, clients: 3, load: 4 };
await publish("dashboard:redis", { ...sample, number: 1_000_000 }, "TYPE", "json");
await until("a gap is told", async () => (await number(missing)) > 900_000);
// What is no number spoils nothing.
assert.match(await page.locator("#commands polyline").getAttribute("points"), /^[\d., e-]+$/);
assert.equal(await page.locator("main b").count(), 0);
// A client may not speak for the backend.
assert.equal(await page.evaluate(async () => (await fetch("/rooms/dashboard:redis/messages", { method: "POST", body: "{}" })).status), 403);
await end();
