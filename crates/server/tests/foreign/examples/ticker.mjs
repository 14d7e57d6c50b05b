// Prices change; a page that has stood still shows the newest at once, and how many it has skipped.
import assert from "node:assert/strict";
import { connected, end, number, open, publishPlainly, restartAll, shows, told, until } from "./stage.mjs";

const page = await open();
await connected(page);
const row = (symbol) => page.getByRole("row").filter({ hasText: symbol }).locator("td");
const price = (symbol) => row(symbol).first();
for (const symbol of ["ACME", "BOLT", "CORD", "DUNE", "ECHO", "FERN"]) await shows(price(symbol), /^\d+\.\d\d$/);
async function changes(symbol) {
  const before = await price(symbol).textContent();
  await until(`${symbol} changes`, async () => (await price(symbol).textContent()) !== before);
}
await changes("ACME");
await shows(row("ACME").nth(1), /^[▲▼] [+-]\d/);
assert.equal(await number(row("BOLT").nth(2)), 0, "who keeps up gets all");

await restartAll(async () => {
  await connected(page);
  await changes("CORD");
});

// The page stands still, as in a tab that is busy: nothing runs in it, and nothing is read. What is published meanwhile is long, so
// that what the kernel and nginx hold is soon full.
const session = await page.context().newCDPSession(page);
await session.send("Debugger.enable");
const paused = new Promise((resolve) => session.once("Debugger.paused", resolve));
await session.send("Debugger.pause");
await paused;
const filler = "x".repeat(200_000);
await until("nodes drop prices", async () => {
  for (let n = 0; n < 20; n++) await publishPlainly("ticker:BOLT", { price: 1, filler });
  return (await droppedInAll()) > 0;
});
await publishPlainly("ticker:BOLT", { price: 4242.42, filler });
await session.send("Debugger.resume");
await until("skipped prices are told", async () => (await number(row("BOLT").nth(2))) > 0);
await changes("BOLT");
// It goes on with what is true now, without a new connection.
await connected(page);

/** What nodes have dropped for clients that were too slow. */
async function droppedInAll() {
  let sum = 0;
  for (const port of told.admin) {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    for (const [, count] of text.matchAll(/^roomcast_messages_dropped_total\{[^}]*\} (\d+)/gm)) sum += Number(count);
  }
  return sum;
}

await publishPlainly("ticker:FERN", { price: "<img src=x onerror=window.pwned=1>" });
await changes("FERN");
await end();
