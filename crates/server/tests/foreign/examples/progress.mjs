// A job's bar goes on to its end, through nodes that die, and is right for who comes later.
import assert from "node:assert/strict";
import { HOSTILE, connected, end, open, publish, restartAll, shows, until } from "./stage.mjs";

const page = await open();
const bar = page.locator("#bar"), said = page.locator("#said");
const value = async (at = bar) => Number(await at.getAttribute("value"));
await page.getByLabel("Steps").fill("150");
await page.getByRole("button", { name: "Start a job" }).click();
await connected(page);
await until("it has begun", async () => (await value()) > 2);
const hash = await page.evaluate(() => location.hash);

// Somebody else with the same address.
const other = await open(hash);
await until("it is where the first is", async () => (await value(other.locator("#bar"))) >= 3);
await restartAll(async () => {
  const before = await value();
  await connected(page);
  await until("it goes on", async () => (await value()) > before);
});
for (const at of [page, other]) {
  await shows(at.locator("#said"), "done: 150 steps done");
  assert.equal(await value(at.locator("#bar")), 150);
  await shows(at.locator("#status"), "finished");
}
// Loaded again after the end.
await other.reload();
await shows(other.locator("#said"), "done: 150 steps done");
assert.equal(await value(other.locator("#bar")), 150);

// Another job on the same page.
await page.getByLabel("Steps").fill("3");
await page.getByRole("button", { name: "Start a job" }).click();
await shows(said, "done: 3 steps done");
assert.notEqual(await page.evaluate(() => location.hash), hash);

// A job that fails; a name that is none; steps that no job has.
await publish("jobs:planted", { text: HOSTILE }, "EVENT", "failed", "TYPE", "json");
await page.goto("about:blank");
await page.goto(`${new URL(other.url()).origin}/progress/#planted`);
await shows(said, `failed: ${HOSTILE}`);
await page.evaluate((name) => (location.hash = encodeURIComponent(name)), HOSTILE);
await shows(page.locator("#job"), HOSTILE);
await shows(page.locator("#status"), /^not connected: /);
assert.equal(await page.evaluate(async () => (await fetch("/api/jobs?steps=x", { method: "POST" })).status), 400);
await end();
