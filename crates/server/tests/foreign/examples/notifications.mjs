// What is for one user reaches that user, on all of his pages, and nobody else; what came while he was away is there when he is back.
import assert from "node:assert/strict";
import { HOSTILE, connected, end, open, restartAll, shows, told, until } from "./stage.mjs";

async function signIn(page, name) {
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Sign in" }).click();
  await connected(page);
  return page;
}

async function send(page, to, text) {
  await page.getByLabel("Notify").fill(to);
  await page.getByLabel("Of", { exact: true }).fill(text);
  await page.getByRole("button", { name: "Send" }).click();
  await shows(page.locator("#answer"), "Sent.");
}

/** Without the time before it. */
const list = async (page) => (await page.locator("#list li").allTextContents()).map((line) => line.replace(/^.*?\d:\d\d:\d\d( ?[AP]M)?/u, ""));
const unread = (page) => page.locator("#unread").textContent();

const alice = await signIn(await open(), "alice");
const aliceToo = await signIn(await open(), "alice");
const bob = await signIn(await open(), "bob");
await until("she has where she begins", () => alice.evaluate(() => localStorage.length === 1));

await send(bob, "alice", "bob has invited you");
await send(bob, "alice", HOSTILE);
await send(alice, "bob", "you have paid");
for (const page of [alice, aliceToo]) {
  await shows(page.locator("#list li"), "bob has invited you");
  await shows(page.locator("#list li"), HOSTILE);
  assert.equal(await unread(page), "2");
  assert.equal(await page.title(), "(2) Notifications · roomcast");
}
await shows(bob.locator("#list li"), "you have paid");
assert.equal(await bob.locator("#list li").count(), 1, "what is for alice is not for bob");

// Pressed once more, it is the same notification; another text is another one.
await bob.getByRole("button", { name: "Send" }).click();
await send(bob, "alice", "once more");
await shows(alice.locator("#list li"), "once more");
assert.deepEqual(await list(alice), ["bob has invited you", HOSTILE, "once more"]);

// A token of bob's does not open her room.
const status = await bob.evaluate(async () => {
  const token = await (await fetch("/api/token?name=bob", { method: "POST" })).text();
  return (await fetch("/sse?room=@alice", { headers: { Authorization: `Bearer ${token}` } })).status;
});
assert.equal(status, 403);
assert.equal(await bob.evaluate(async () => (await fetch("/sse?room=@bob")).status), 401);

// While the nodes die.
await restartAll((node) => send(bob, "alice", `while node ${node} was away`));
const all = ["bob has invited you", HOSTILE, "once more", "while node 0 was away", "while node 1 was away"];
for (const page of [alice, aliceToo]) {
  await shows(page.locator("#list li"), "while node 1 was away");
  assert.deepEqual(await list(page), all);
}

// What is read does not come again; what came meanwhile does.
await alice.getByRole("button", { name: "Mark all as read" }).click();
assert.equal(await unread(alice), "0");
await alice.goto("about:blank");
await send(bob, "alice", "while she was away");
await alice.goto(told.url);
await signIn(alice, "alice");
await shows(alice.locator("#list li"), "while she was away");
assert.deepEqual(await list(alice), ["while she was away"]);
assert.equal(await unread(alice), "1");
assert.equal(await bob.evaluate(async () => (await fetch("/api/token?name=a%20b", { method: "POST" })).status), 400);
await end();
