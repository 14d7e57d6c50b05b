// Two people on two pages: they see each other come, hear each other, and lose nothing when their nodes die.
import assert from "node:assert/strict";
import { HOSTILE, connected, end, open, publish, restartAll, shows, until } from "./stage.mjs";

async function comeIn(name) {
  const page = await open();
  await page.getByLabel("Your name").fill(name);
  await page.getByLabel("Your name").press("Enter");
  await connected(page);
  await shows(page.locator("#messages li.note"), `${name} has come in`);
  return page;
}

async function say(page, text) {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.getByRole("button", { name: "Say" }).click();
}

/** What was said, in order, without what the backend says. */
const said = (page) => page.locator("#messages li:not(.note)").allTextContents();
const present = (page) => page.locator("#members li").allTextContents();

const alice = await comeIn("alice");
await say(alice, "hello");
const bob = await comeIn("bob");
// From history.
await shows(bob.locator("#messages li"), /^alicehello$/);
await say(bob, HOSTILE);
await shows(alice.locator("#messages li"), HOSTILE);
for (const page of [alice, bob]) await until("both are there", async () => (await present(page)).sort().join() === "alice,bob");
assert.equal(await alice.locator("#messages li.own").count(), 1);

// Nobody speaks for the backend, whatever name he gives an event.
await bob.evaluate(async (room) => {
  const { connect } = await import("/sdk/index.js");
  const token = await (await fetch("/api/token?name=bob", { method: "POST" })).text();
  const client = connect("/", { token });
  await client.publish(room, { text: "the bank wants your password" }, { event: "notice" });
  client.close();
}, "chat:lobby");
await shows(alice.locator("#messages li"), /^bobthe bank wants/);
// What is no text of this chat's own is shown as it is.
await publish("chat:lobby", { other: [1] }, "TYPE", "json");
await shows(alice.locator("#messages li"), '{"other":[1]}');

// Said while nodes die, by both pages and by a backend.
await restartAll(async (node) => {
  await say(alice, `from alice ${node}`);
  await say(bob, `from bob ${node}`);
  await publish("chat:lobby", { text: `from the backend ${node}` });
});
const expected = [0, 1].flatMap((node) => [`alicefrom alice ${node}`, `bobfrom bob ${node}`, `backendfrom the backend ${node}`]);
for (const page of [alice, bob]) {
  await until("all is heard", async () => (await said(page)).length >= 4 + expected.length);
  await connected(page);
  const heard = await said(page);
  assert.deepEqual(heard.slice(0, 4), ["alicehello", `bob${HOSTILE}`, "bobthe bank wants your password", 'backend{"other":[1]}']);
  assert.deepEqual(heard.slice(4).sort(), [...expected].sort(), "each once");
}
assert.deepEqual(await said(alice), await said(bob), "in one order");

// Who comes late sees what was said; who goes is not there any more.
const carol = await comeIn("carol");
await until("the past is there", async () => (await said(carol)).length === 4 + expected.length);
assert.deepEqual(await said(carol), await said(alice));
await carol.context().close();
await until("carol has left", async () => !(await present(alice)).includes("carol"));

// A name that no token is given for.
const refused = await open();
assert.equal(await refused.evaluate(async () => (await fetch("/api/token?name=a%20b", { method: "POST" })).status), 400);
await end();
