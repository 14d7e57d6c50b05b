// The console in headless Chromium: console.mjs ONE TWO BALANCER, ports of two nodes and of what stands in front of them. Says
// {"kill": NODE} when it wants a node gone, and goes on with the next line of input. Ends with an error where something is not so.
// With CONSOLE_PICTURES it leaves pictures in that folder, for docs/.
import assert from "node:assert/strict";
import { once } from "node:events";
import readline from "node:readline";
import { launch } from "./browser-launch.mjs";
import { say } from "./lines.mjs";
import { HOSTILE, accessible, failures, open as openPage, press, says, unharmed } from "./pages.mjs";

const [one, two, balancer] = process.argv.slice(2);
const input = readline.createInterface({ input: process.stdin });
const pictures = process.env.CONSOLE_PICTURES;
// Two browsers, which share nothing.
const [browser, otherBrowser] = await Promise.all([launch(), launch()]);
const open = (port, options, by = browser) => openPage(by, `http://127.0.0.1:${port}/`, options);

const panel = (page, id) => page.locator(`#${id}`);
const log = (at) => at.locator(".log pre");
const heard = (at, text) => says(log(at), text);

async function connect(at, rooms) {
  await at.getByLabel("Rooms").fill(rooms);
  await press(at, "Connect");
  await says(at.locator(".state"), /^connected$/);
}

async function publish(at, room, type, data, event = "") {
  await at.getByLabel("To room").fill(room);
  await at.getByLabel("Event", { exact: true }).fill(event);
  await at.getByLabel("As").selectOption(type);
  await at.getByLabel("Data").fill(data);
  await press(at, "Publish");
  await says(at.locator(".answer"), /^Published as \d+-\d+\.$/);
  return /\d+-\d+/.exec(await at.locator(".answer").textContent())[0];
}

const first = await open(one), second = await open(two, {}, otherBrowser);
const pages = [first, second].flatMap((page) => [panel(page, "sse"), panel(page, "ws")]);
const [sse, ws, otherSse, otherWs] = pages;
assert.equal(await sse.getByRole("button", { name: "Cut" }).isDisabled(), true);
await sse.getByLabel("Event names").fill("message order");
await connect(sse, "chat news");
await connect(ws, "chat, news");
await otherSse.getByLabel("Event names").fill("message, order");
await connect(otherSse, "chat");
// By keyboard alone.
await otherWs.getByLabel("Rooms").fill("chat");
await otherWs.getByLabel("Rooms").press("Enter");
await says(otherWs.locator(".state"), /^connected$/);
assert.deepEqual(await Promise.all(pages.map((at) => at.locator(".node").textContent())), ["one", "one", "two", "two"]);

// Two browsers on two nodes, every kind of content, both ways of publishing.
await publish(ws, "chat", "text", "hello from one");
await publish(otherSse, "chat", "text", "hello from two");
await publish(sse, "chat", "json", '{"total": 42}', "order");
await publish(otherWs, "chat", "json", "[1,2]");
await publish(ws, "chat", "bytes", "00 ff 41 42");
await publish(sse, "chat", "bytes", "fe fe");
for (const at of pages) {
  for (const text of ["hello from one", "hello from two", '"total": 42', "2\n]", "4 bytes\n0000  00 ff 41 42", "fe fe"]) await heard(at, text);
  await says(at.locator(".log .about"), /^order.*chat.*JSON/);
  assert.equal(await log(at).count(), 6);
}
await says(first.locator("#rate output"), /\d/);
await says(first.locator("#latency output"), /^\d/);
await says(first.locator("#connections output"), /^2$/);

// What is not what it is said to be is not sent.
for (const [type, data, wrong] of [["json", "{", /^This is not JSON/], ["bytes", "0g", /^Bytes are pairs/]]) {
  await ws.getByLabel("As").selectOption(type);
  await ws.getByLabel("Data").fill(data);
  await press(ws, "Publish");
  await says(ws.locator(".answer.bad"), wrong);
}

// Payloads stay text.
for (const [n, text] of HOSTILE.entries()) await publish(n % 2 ? ws : otherSse, "chat", "text", text);
for (const at of pages) {
  for (const text of HOSTILE) await heard(at, text.slice(0, 16_000));
  assert.equal(await at.locator(".log :is(img, script, svg)").count(), 0);
}
await publish(ws, "chat", "json", JSON.stringify({ html: HOSTILE[0] }), HOSTILE[1].slice(0, 100));
await says(ws.locator(".log .about"), HOSTILE[1]);
for (const page of [first, second]) await unharmed(page, "with all these payloads");

// Who is there: four connections.
for (const at of [sse, ws]) {
  await press(at, "Ask");
  await says(at.locator(".present"), /chat: 4/);
  assert.equal(await at.locator(".members li").filter({ hasText: /^chat: connection / }).count(), 4);
}

// Cut, and back again.
for (const at of [otherSse, otherWs]) {
  await press(at, "Clear");
  assert.equal(await log(at).count(), 0);
  await press(at, "Cut");
  await says(at.locator(".state"), /^cut$/);
  const ids = [];
  for (const text of ["while away 1", "while away 2", "while away 3"]) ids.push(await publish(ws, "chat", "text", text));
  assert.equal(await log(at).count(), 0);
  await press(at, "Resume");
  await says(at.locator(".resume"), `Resumed on the same node, two. Replayed: 3 (${ids.join(", ")}).`);
  // They are drawn with the next frame.
  await heard(at, "while away 3");
  assert.deepEqual(await log(at).allTextContents(), ["while away 1", "while away 2", "while away 3"]);
  assert.equal(await at.locator(".log .replayed").count(), 3);
  await publish(ws, "chat", "text", "as it comes");
  await heard(at, "as it comes");
  assert.equal(await at.locator(".log .replayed").count(), 3);
}
// A watcher is told who leaves.
await press(otherSse, "Disconnect");
await says(otherSse.locator(".state"), /^not connected$/);
await says(ws.locator(".present"), /chat: 3/);

await accessible(first, "two panels at work");
const phone = await open(one, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
await connect(panel(phone, "sse"), "chat");
await accessible(phone, "a phone");
await unharmed(phone, "a phone");

// A node dies. The browser comes back by itself, the page's WebSocket by its own means; nothing is lost, nothing doubled.
const last = await open(balancer);
const ends = [panel(last, "sse"), panel(last, "ws")];
for (const at of ends) await connect(at, "numbers");
const nodes = await Promise.all(ends.map((at) => at.locator(".node").textContent()));
// The page of a node that stays publishes.
const publisher = panel(nodes[0] === "one" ? second : first, "ws");
await publish(publisher, "numbers", "text", "number 0");
for (const at of ends) await heard(at, "number 0");
say({ kill: nodes[0] });
await once(input, "line");
for (let n = 1; n < 10; n++) await publish(publisher, "numbers", "text", `number ${n}`);
const expected = Array.from({ length: 10 }, (_, n) => `number ${n}`);
for (const [n, at] of ends.entries()) {
  await heard(at, "number 9");
  await says(at.locator(".state"), /^connected$/);
  assert.deepEqual(await log(at).allTextContents(), expected);
  if (nodes[n] !== nodes[0]) continue;
  const node = await at.locator(".node").textContent();
  assert.notEqual(node, nodes[0]);
  await says(at.locator(".resume"), `Resumed on ${node}, before that on ${nodes[0]}. Replayed: `);
  // The ids of the sentence are those of the messages that are marked.
  const { said, marked } = await at.evaluate((panel) => {
    const texts = [...panel.querySelectorAll(".log .replayed .about span")].map((span) => span.textContent);
    return { said: panel.querySelector(".resume").textContent.match(/\d+-\d+/g), marked: texts.filter((text) => /^\d+-\d+$/.test(text)) };
  });
  assert.deepEqual(said, marked);
}

if (pictures) {
  const shown = [["json", '{"order": 42, "status": "paid"}', "order"], ["bytes", "00 ff 10 41 42 43"], ["text", HOSTILE[0]], ["text", "hello"]];
  for (let n = 0; n < 40; n++) {
    await publish(ends[n % 2], "numbers", ...shown[n % 4]);
    await last.waitForTimeout(300 + 200 * Math.sin(n / 4));
  }
  await last.setViewportSize({ width: 1000, height: 1180 });
  for (const colorScheme of ["light", "dark"]) {
    await last.emulateMedia({ colorScheme });
    await last.screenshot({ path: `${pictures}/console${colorScheme === "dark" ? "-dark" : ""}.png` });
  }
  await phone.evaluate(() => scrollTo(0, 0));
  await phone.screenshot({ path: `${pictures}/phone.png`, fullPage: true });
}
assert.deepEqual(failures, []);
await Promise.all([browser.close(), otherBrowser.close()]);
input.close();
say({ done: true });
