// A pump reports, and does what it is told; a command that is given while nodes die is carried out, once.
import assert from "node:assert/strict";
import { HOSTILE, connected, end, open, publish, restartAll, shows, until } from "./stage.mjs";

const page = await open(), other = await open();
for (const at of [page, other]) {
  await connected(at);
  await shows(at.locator("#temperature"), /^\d+(\.\d)?$/);
}
const report = (at) => at.locator("#report");
const lastNumber = async () => Number(/^number (\d+)/.exec(await report(page).textContent())[1]);
const commands = page.locator("#commands li");
async function command(speed) {
  await page.getByLabel("New speed").fill(String(speed));
  await page.getByRole("button", { name: "Set" }).click();
}

await command(1500);
await shows(commands, "Speed 1500: runs at 1500");
for (const at of [page, other]) await shows(at.locator("#speed"), /^1500$/);
assert.equal(await other.locator("#commands li").count(), 0);
await page.getByRole("button", { name: "Stop" }).click();
await shows(commands, "Speed 0: runs at 0");
await shows(other.locator("#speed"), /^0$/);

// While the nodes die.
await restartAll(async (node) => {
  const speed = 2000 + 50 * node;
  await command(speed);
  await shows(commands, `Speed ${speed}: runs at ${speed}`);
  const before = await lastNumber();
  await until("reports go on", async () => (await lastNumber()) > before + 1);
});
assert.deepEqual(await commands.allTextContents(), [
  "Speed 1500: runs at 1500", "Speed 0: runs at 0", "Speed 2000: runs at 2000", "Speed 2050: runs at 2050",
]);
for (const at of [page, other]) {
  await connected(at);
  await shows(report(at), /missing 0$/);
}

// What the pump does not understand, from a page of somebody else's making: it says so, and goes on.
for (const body of ["not JSON", "[]", '{"speed":"<b>"}', "Infinity", '{"speed":1e999}', HOSTILE]) {
  const status = await other.evaluate(async (body) => (await fetch("/rooms/commands:pump/messages", { method: "POST", headers: { "Content-Type": "text/plain" }, body })).status, body);
  assert.equal(status, 202);
}
await command(700);
await shows(commands, "Speed 700: runs at 700");
// Only the pump speaks for itself.
assert.equal(await page.evaluate(async () => (await fetch("/rooms/telemetry:pump/messages", { method: "POST", body: "{}" })).status), 403);
await publish("telemetry:pump", { number: await lastNumber(), speed: HOSTILE, temperature: 1 }, "EVENT", "report", "TYPE", "json");
await shows(page.locator("#speed"), HOSTILE);
await end();
