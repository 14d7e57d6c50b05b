// The console of nodes without Redis, in headless Chromium: console-alone.mjs OPEN CLOSED SECRET, ports of a node that is open and of one
// that wants tokens, signed with SECRET. By keyboard alone, with a finger on a phone, and with tokens. Ends with an error where
// something is not so.
import assert from "node:assert/strict";
import { launch } from "./browser-launch.mjs";
import { say } from "./lines.mjs";
import { HOSTILE, accessible, failures, open, press, says, signed, tabTo, unharmed } from "./pages.mjs";

const [anybody, closed, secret] = process.argv.slice(2);
const browser = await launch();
const panel = (page, id) => page.locator(`#${id}`);
const at = (port) => `http://127.0.0.1:${port}/`;
const heard = (part) => part.locator(".log pre");

await byKeyboard();
await byFinger();
await withTokens();
assert.deepEqual(failures, []);
await browser.close();
say({ done: true });

/** Nothing but keys: every field and button of a panel, one after another. */
async function byKeyboard() {
  const page = await open(browser, at(anybody));
  const [sse, ws] = [panel(page, "sse"), panel(page, "ws")];
  const write = async (text) => {
    await page.keyboard.press("ControlOrMeta+A");
    await page.keyboard.type(text);
  };
  // The first panel.
  await tabTo(page, "Token");
  await tabTo(page, "Rooms");
  await write("keys");
  await tabTo(page, "Event names");
  await write("message order");
  await tabTo(page, "Connect");
  await page.keyboard.press("Enter");
  await says(sse.locator(".state"), /^connected$/);
  await tabTo(page, "To room");
  await tabTo(page, "Event");
  await write("order");
  await tabTo(page, "As");
  await page.keyboard.press("ArrowDown");
  await tabTo(page, "Data");
  await write('{"total": 42}');
  await tabTo(page, "Publish");
  await page.keyboard.press("Space");
  await says(sse.locator(".answer"), /^Published as \d+-\d+\.$/);
  await says(sse.locator(".log .about"), /^order.*keys.*JSON/);
  await tabTo(page, "Ask");
  await page.keyboard.press("Enter");
  await says(sse.locator(".present"), /^keys: 1$/);
  await tabTo(page, "Clear");
  await page.keyboard.press("Enter");
  assert.equal(await heard(sse).count(), 0);
  await tabTo(page, "Messages");

  // The second, which hears every event, and has no field for their names.
  assert.equal(await ws.getByLabel("Event names").count(), 0);
  await tabTo(page, "Rooms");
  await write("keys");
  await page.keyboard.press("Enter");
  await says(ws.locator(".state"), /^connected$/);
  await says(page.locator("#connections output"), /^2$/);
  await tabTo(page, "Cut");
  await page.keyboard.press("Enter");
  await says(ws.locator(".state"), /^cut$/);

  // Back to the first, the other way round; what it publishes is missed, and then it is not.
  for (const field of ["Clear", "Ask", "Publish", "Data"]) await tabTo(page, field, "Shift+Tab");
  await write("[1]");
  await tabTo(page, "Publish");
  await page.keyboard.press("Enter");
  await says(sse.locator(".answer"), /^Published as /);
  const id = /\d+-\d+/.exec(await sse.locator(".answer").textContent())[0];
  await tabTo(page, "Resume");
  await page.keyboard.press("Enter");
  await says(ws.locator(".resume"), `Resumed on the same node, alone. Replayed: 1 (${id}).`);
  await says(ws.locator(".log .replayed"), id);
  await tabTo(page, "Disconnect");
  await page.keyboard.press("Enter");
  await says(ws.locator(".state"), /^not connected$/);
  await says(page.locator("#connections output"), /^1$/);

  // The charts live: a point a second, and what happened is in them.
  for (const name of [/^Messages per second.*at most [1-9]/, /^Delivery of own messages.*at most [\d.]*[1-9]/, /^Connections.*at most 2/]) {
    await page.getByRole("img", { name }).waitFor();
  }
  const points = () => page.locator("#rate polyline").evaluate((line) => line.getAttribute("points").split(" ").length);
  const drawn = await points();
  await page.waitForFunction((drawn) => document.querySelector("#rate polyline").getAttribute("points").split(" ").length > drawn, drawn);
  await page.context().close();
}

/** A phone: every button is large enough to be hit, and does what it does elsewhere. */
async function byFinger() {
  const page = await open(browser, at(anybody), { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
  const tap = (part, name) => part.getByRole("button", { name, exact: true }).tap();
  for (const id of ["sse", "ws"]) {
    const part = panel(page, id);
    await part.getByLabel("Rooms").fill("phone");
    await tap(part, "Connect");
    await says(part.locator(".state"), /^connected$/);
    await part.getByLabel("To room").fill("phone");
    for (const text of HOSTILE) {
      await part.getByLabel("Data").fill(text);
      await tap(part, "Publish");
      await says(part.locator(".answer"), /^Published as /);
      await says(heard(part), text.slice(0, 16_000));
    }
    await tap(part, "Ask");
    await says(part.locator(".present"), /^phone: \d$/);
    await tap(part, "Cut");
    await says(part.locator(".state"), /^cut$/);
    await part.getByLabel("Data").fill(`meanwhile ${id}`);
    if (id === "sse") await tap(part, "Publish");
    await tap(part, "Resume");
    await says(part.locator(".resume"), id === "sse" ? /^Resumed on the same node, alone\. Replayed: 1 / : /^Resumed on the same node, alone\. Replayed: 0\.$/);
    await tap(part, "Clear");
    assert.equal(await heard(part).count(), 0);
  }
  const boxes = await page.locator("button:visible, input:visible, select:visible").evaluateAll((all) => all.map((one) => one.getBoundingClientRect().toJSON()));
  assert.ok(boxes.length > 15, `${boxes.length} fields and buttons`);
  for (const { width, height, left, right } of boxes) {
    assert.ok(width >= 24 && height >= 24 && left >= 0 && right <= 360, JSON.stringify({ width, height, left, right }));
  }
  await accessible(page, "a phone");
  await unharmed(page, "a phone");
  for (const id of ["sse", "ws"]) {
    await tap(panel(page, id), "Disconnect");
    await says(panel(page, id).locator(".state"), /^not connected$/);
  }
  await page.context().close();
}

/** Without a token, with a bad one, with one that may not do everything, with a good one. */
async function withTokens() {
  const page = await open(browser, at(closed));
  const [sse, ws] = [panel(page, "sse"), panel(page, "ws")];
  const token = page.getByLabel("Token");
  assert.equal(await token.getAttribute("type"), "password");
  const connect = async (part, rooms) => {
    await part.getByLabel("Rooms").fill(rooms);
    await press(part, "Connect");
  };
  for (const bad of ["", "not a token", signed("another secret, which the node does not know", { sub: "mallory" })]) {
    await token.fill(bad);
    await connect(sse, "desk");
    await says(sse.locator(".state"), /^refused: is the token good/);
  }
  await connect(ws, "desk");
  await says(ws.locator(".state"), /401/);

  const user = HOSTILE[0];
  const reader = signed(secret, { sub: user, rooms: { subscribe: ["desk"], presence: ["desk"], history: ["desk"] } });
  await token.fill(reader);
  for (const part of [sse, ws]) {
    await connect(part, "desk");
    await says(part.locator(".state"), /^connected$/);
    assert.equal(await part.locator(".user").textContent(), user);
    await part.getByLabel("To room").fill("desk");
    await part.getByLabel("Data").fill("not mine to say");
    await press(part, "Publish");
    await says(part.locator(".answer.bad"), /\w/);
    await press(part, "Ask");
    await says(part.locator(".members li"), `desk: ${user}`);
  }
  // What is granted in one room is not in another.
  await connect(ws, "safe");
  await says(ws.locator(".log .note"), /safe: forbidden/);

  await token.fill(signed(secret, { sub: "alice", rooms: { subscribe: ["*"], publish: ["*"], history: ["*"], presence: ["*"] } }));
  for (const part of [sse, ws]) {
    await connect(part, "desk");
    await says(part.locator(".state"), /^connected$/);
    assert.equal(await part.locator(".user").textContent(), "alice");
  }
  await ws.getByLabel("To room").fill("desk");
  await ws.getByLabel("Data").fill("mine");
  await press(ws, "Publish");
  await says(ws.locator(".answer"), /^Published as /);
  for (const part of [sse, ws]) {
    await says(heard(part), /^mine$/);
    await says(part.locator(".log .about"), /from alice/);
  }
  await unharmed(page, "with tokens");
  await accessible(page, "with tokens");
  // It is kept nowhere.
  await page.reload();
  assert.equal(await token.inputValue(), "");
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie + location.href);
  assert.equal(kept, `{}${at(closed)}`);
  await page.context().close();
}
