// The operators' page in headless Chromium: admin.mjs NODES KEY SECRET, where NODES is a list of {name, port, admin} in JSON, KEY their
// admin.key and SECRET what tokens are signed with. Says {"redis":"stop"}, {"redis":"start"} and {"drain":NODE} when it wants or has
// done that, and goes on with the next line of input. Ends with an error where something is not so. With CONSOLE_PICTURES it leaves pictures in
// that folder, for docs/.
import assert from "node:assert/strict";
import { once } from "node:events";
import readline from "node:readline";
import WebSocket from "ws";
import { launch } from "./browser-launch.mjs";
import { say } from "./lines.mjs";
import { HOSTILE, accessible, failures, open, press, says, signed, tabTo, unharmed } from "./pages.mjs";

const [nodes, key, secret] = [JSON.parse(process.argv[2]), ...process.argv.slice(3)];
const [one, two] = nodes;
const input = readline.createInterface({ input: process.stdin });
const NOT_ADDRESS = "operators.example";
const browser = await launch([`--host-resolver-rules=MAP *.example 127.0.0.1`]);

async function wish(line) {
  say(line);
  await once(input, "line");
}

// Clients of both nodes: some of alice's, one whose name is markup, one whose name is long.
const clients = [];
async function client({ port }, user, ...rooms) {
  const token = signed(secret, { sub: user, rooms: { subscribe: ["*"], publish: ["*"] } });
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws?token=${token}`, "roomcast.v1");
  const seen = { user, rooms: new Set(), connection: null, heard: 0, closed: null, send: (command) => socket.send(JSON.stringify(command)) };
  seen.ended = new Promise((resolve) => socket.on("close", (code) => resolve((seen.closed = code))));
  const [, joined] = await Promise.all([
    once(socket, "open").then(() => rooms.forEach((room) => seen.send({ type: "subscribe", room }))),
    new Promise((resolve) =>
      socket.on("message", (data) => {
        const said = JSON.parse(data);
        assert.notEqual(said.type, "error", data);
        if (said.type === "welcome") seen.connection = said.connection;
        if (said.type === "message") seen.heard += 1;
        if (said.type === "subscribed") seen.rooms.add(said.room);
        if (rooms.every((room) => seen.rooms.has(room))) resolve(seen);
      }),
    ),
  ]);
  clients.push(joined);
  return joined;
}

const LONG_ROOM = `a${"-very".repeat(30)}-long:name`;
const desk = await client(one, "alice", "chat", "news");
const laptop = await client(one, "alice", "chat", LONG_ROOM);
const phone = await client(two, "alice", "chat");
const hostile = await client(one, HOSTILE[0], "chat", "__proto__");
const long = await client(one, "b".repeat(200), "constructor");
for (let n = 0; n < 8; n++) await client(two, `reader ${n}`, "drained");

const page = await open(browser, `http://127.0.0.1:${one.admin}/`);
const part = (id, at = page) => at.locator(`#${id}`);
const cells = (id, text, at = page) => part(id, at).locator("tbody tr").filter({ hasText: text });
const value = (id, name) => part(id).locator(`dt:text-is("${name}") + dd`);

// The node, the broker, the cluster.
await says(part("name"), one.name);
await says(part("node").locator(".state"), /^ready$/);
await says(part("broker").locator(".state"), /^healthy$/);
await says(value("broker", "Broker"), /^Redis at 127\.0\.0\.1:\d+$/);
await says(value("broker", "Its way"), /^[\d.]+ ms$/);
await says(value("broker", "Last probe"), /^sent [\d.]+ s ago$/);
await says(value("node", "Connections"), /^4 of \d+ at most$/);
await says(value("node", "Users"), /^3$/);
const version = await value("node", "Version").textContent();
assert.match(version, /^\d+\.\d+\.\d+/);
await says(part("nodes").locator(".answer"), /^2 nodes, 13 connections$/);
for (const [node, count, share, own] of [[one, 4, "30.8 %", true], [two, 9, "69.2 %", false]]) {
  const row = cells("nodes", node.name);
  await says(row.locator("td").nth(2), new RegExp(`^${count}$`));
  const [name, state, , told, of] = await row.locator("td").allTextContents();
  assert.deepEqual([name, state, told, of], [own ? `${node.name} (this one)` : node.name, "serving", share, version]);
}

// The figures live.
for (let n = 0; n < 20; n++) desk.send({ type: "publish", room: "chat", data: n });
for (const id of ["connected", "received", "delivered", "round-trip"]) {
  await says(part(id).locator("output"), /^[\d.]+$/);
  await part(id).getByRole("img", { name: /the last minute: at most [\d.]*[1-9]/ }).waitFor();
}
const points = () => page.locator("#connected polyline").evaluate((line) => line.getAttribute("points").split(" ").length);
const drawn = await points();
await page.waitForFunction((drawn) => document.querySelector("#connected polyline").getAttribute("points").split(" ").length > drawn, drawn);

// Rooms with most members.
const rooms = async (prefix) => {
  await page.getByLabel("Names begin with").fill(prefix);
  await press(page, "Show rooms");
};
await rooms("");
await says(part("rooms").locator(".answer"), /^\d+ rooms$/);
assert.deepEqual(await part("rooms").locator("tbody tr").first().locator("td").allTextContents(), ["chat", "3", "Connections"]);
for (const room of ["__proto__", "constructor", LONG_ROOM, "news"]) await says(cells("rooms", room), "1");
await rooms("ne");
await says(part("rooms").locator(".answer"), /^1 room$/);
assert.equal(await part("rooms").locator("tbody tr").count(), 1);
await rooms("nothing like this");
await says(part("rooms").locator(".answer"), /^0 rooms$/);
assert.equal(await part("rooms").locator("tr").count(), 0);
await rooms("");
await part("rooms").getByRole("button", { name: "Connections in chat" }).click();
await says(part("connections").locator(".answer"), /^3 connections$/);
await says(cells("connections", hostile.connection), HOSTILE[0]);
assert.equal(await part("connections").locator("td :is(img, script, svg)").count(), 0);

// Connections of a user; one of them is ended.
const whose = async (user, room = "") => {
  await page.getByLabel("Of user").fill(user);
  await page.getByLabel("In room").fill(room);
  await press(page, "Show connections");
};
await whose(HOSTILE[0]);
await says(part("connections").locator(".answer"), /^1 connection$/);
await whose("alice", "no room");
await says(part("connections").locator(".answer.bad"), /room/);
await whose("alice");
await says(part("connections").locator(".answer"), /^2 connections$/);
const row = await cells("connections", laptop.connection).locator("td").allTextContents();
assert.deepEqual(row.slice(0, 3), [laptop.connection, "websocket_json", "alice"]);
assert.deepEqual(row[3].split(", ").sort(), ["@alice", LONG_ROOM, "chat"].sort());
assert.equal(row[5], "Disconnect");
await part("connections").getByRole("button", { name: `Disconnect ${laptop.connection}` }).click();
assert.equal(await laptop.ended, 4410);
await says(part("connections").locator(".answer"), `Disconnected ${laptop.connection};`);
await whose("alice");
await says(part("connections").locator(".answer"), /^1 connection$/);
await unharmed(page, "with all these names");

// A user everywhere, by keyboard; first it is not meant.
const question = page.getByRole("dialog");
await whose("");
await press(page, "Disconnect user on all nodes…");
await says(part("connections").locator(".answer.bad"), "Type the user's name first.");
await whose("alice");
for (const no of [() => press(question, "Cancel"), () => page.keyboard.press("Escape"), () => page.keyboard.press("Enter")]) {
  await press(page, "Disconnect user on all nodes…");
  await says(question.getByRole("heading"), "Disconnect alice?");
  await no();
  await question.waitFor({ state: "hidden" });
}
await page.getByLabel("Of user").focus();
await tabTo(page, "Disconnect user on all nodes…");
await page.keyboard.press("Enter");
await says(question.getByRole("heading"), "Disconnect alice?");
await accessible(page, "with a question");
assert.deepEqual([desk.closed, phone.closed], [null, null], "so far nobody was disconnected");
await tabTo(page, "Disconnect");
await page.keyboard.press("Enter");
assert.deepEqual(await Promise.all([desk.ended, phone.ended]), [4410, 4410], "on both nodes");
await says(part("connections").locator(".answer"), "All nodes were told to disconnect alice.");
await whose(HOSTILE[0]);
await press(page, "Disconnect user on all nodes…");
await says(question.getByRole("heading"), `Disconnect ${HOSTILE[0]}?`);
await press(question, "Disconnect");
assert.equal(await hostile.ended, 4410);
assert.equal(long.closed, null, "nobody else was");
await unharmed(page, "after a question about such a name");

// Everywhere for everybody: both colour schemes, a phone.
await whose("");
await says(part("connections").locator(".answer"), /^1 connection$/);
await accessible(page, "the page");
const small = await open(browser, `http://127.0.0.1:${one.admin}/`, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
await says(part("nodes", small).locator(".answer"), /^2 nodes/);
await small.getByRole("button", { name: "Show connections" }).tap();
await says(part("connections", small).locator(".answer"), /^1 connection$/);
await accessible(small, "a phone");
await unharmed(small, "a phone");

if (process.env.CONSOLE_PICTURES) await pictures();

// Redis goes and comes back.
await wish({ redis: "stop" });
await says(part("broker").locator(".state"), /^unhealthy: the connection to the broker is down$/);
await says(part("node").locator(".state"), /^not ready: the connection to the broker is down$/);
await says(value("broker", "Connection"), /^down$/);
await says(part("nodes").locator(".answer.bad"), /\w/);
await press(page, "Disconnect user on all nodes…");
await says(part("connections").locator(".answer.bad"), "Type the user's name first.");
await page.getByLabel("Of user").fill("alice");
await press(page, "Disconnect user on all nodes…");
await press(question, "Disconnect");
await page.waitForFunction(() => {
  const { className, textContent } = document.querySelector("#connections .answer");
  return className.includes("bad") && !textContent.startsWith("Type");
});
await wish({ redis: "start" });
await says(part("broker").locator(".state"), /^healthy$/);
await says(part("node").locator(".state"), /^ready$/);
await says(value("broker", "Lost so far"), /^1 time$/);
await says(part("nodes").locator(".answer:not(.bad)"), /^2 nodes/);

// What other pages try, on this machine: nothing comes of it. The browser itself sends it all.
for (const place of [`http://127.0.0.1:${one.port}`, `http://evil.example:${one.port}`, `http://${NOT_ADDRESS}:${one.admin}`]) {
  const context = await browser.newContext();
  const other = await context.newPage();
  // A page of that origin without a policy that would keep it from trying.
  await other.goto(`${place}/no-page`);
  const answers = [];
  other.on("response", (response) => response.url().includes(`:${one.admin}/`) && answers.push([response.request().method(), response.status()]));
  const target = place.includes(NOT_ADDRESS) ? place : `http://127.0.0.1:${one.admin}`;
  await other.evaluate(async (target) => {
    const body = JSON.stringify({ user: "b".repeat(200) });
    for (const path of ["/drain", "/api/disconnect"]) await fetch(target + path, { method: "POST", mode: "no-cors", body });
    await fetch(`${target}/api/nodes`, { mode: "no-cors" });
  }, target);
  await other.setContent(`<form method="post" enctype="text/plain" action="${target}/drain"><button>Win a prize</button></form>`);
  await Promise.all([other.waitForURL(`${target}/drain`), press(other, "Win a prize")]);
  assert.deepEqual(answers.map(([, status]) => status), [401, 401, 401, 401], `${place}: ${JSON.stringify(answers)}`);
  await context.close();
}
assert.equal(long.closed, null, "nobody was disconnected");
await says(part("node").locator(".state"), /^ready$/);

// By another name than an address the page wants the key.
const named = await open(browser, `http://${NOT_ADDRESS}:${one.admin}/`);
await says(named.getByRole("alert"), "This node wants its admin.key");
await says(part("rooms", named).locator(".answer.bad"), "This node wants its admin.key");
await accessible(named, "without a key");
await named.getByLabel("Admin key").fill("wrong");
await named.getByLabel("Admin key").press("Enter");
await says(named.getByRole("alert"), "This node wants its admin.key");
await named.getByLabel("Admin key").fill(key);
await named.getByLabel("Admin key").press("Enter");
await says(part("node", named).locator(".state"), /^ready$/);
await says(part("rooms", named).locator(".answer:not(.bad)"), /rooms?$/);
assert.equal(await named.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie + location.href + document.documentElement.outerHTML.includes("wrong")), `{}http://${NOT_ADDRESS}:${one.admin}/false`);

// The other node drains, because its page says so; the first node's page hears of it.
const leaving = await open(browser, `http://127.0.0.1:${two.admin}/`);
await says(part("name", leaving), two.name);
await says(part("node", leaving).locator(".state"), /^ready$/);
await press(leaving, "Drain…");
const sure = leaving.getByRole("dialog");
await says(sure.getByRole("heading"), `Drain ${two.name}?`);
await press(sure, "Cancel");
await sure.waitFor({ state: "hidden" });
assert.ok(clients.filter(({ user }) => user.startsWith("reader")).every(({ closed }) => closed === null));
await press(leaving, "Drain…");
await press(sure, "Drain it");
await says(part("node", leaving).locator(".answer"), "Draining: clients are asked to leave.");
await says(part("node", leaving).locator(".state"), /^not ready: draining/);
assert.ok(await leaving.getByRole("button", { name: "Drain…" }).isDisabled());
await says(cells("nodes", two.name).locator("td").nth(1), /^draining$/);
await says(cells("nodes", one.name).locator("td").nth(1), /^serving$/);
const codes = await Promise.all(clients.filter(({ user }) => user.startsWith("reader")).map(({ ended }) => ended));
assert.deepEqual(new Set(codes), new Set([1012]));
await wish({ drain: two.name });
await says(leaving.getByRole("alert"), "The node does not answer. It was draining: by now it may have ended.");
await says(part("nodes").locator(".answer"), /^1 node,/);
assert.equal(long.closed, null, "the other node stays");

assert.deepEqual(failures, []);
await browser.close();
say({ done: true });
process.exit(0);

/** For docs/: something to see in the charts, and in all tables. */
async function pictures() {
  const talkers = [];
  for (const [n, user] of ["bob", "carol", "dave", "erin"].entries()) talkers.push(await client(one, user, "chat", `orders:${n}`, "news"));
  for (let n = 0; n < 120; n++) {
    for (let m = 0; m < 6 + 5 * Math.sin(n / 9); m++) talkers[m % 4].send({ type: "publish", room: "chat", data: `hello ${m}` });
    await page.waitForTimeout(400);
  }
  await press(page, "Show rooms");
  await whose("", "chat");
  await says(part("connections").locator(".answer"), /^4 connections$/);
  await page.setViewportSize({ width: 1000, height: 1000 });
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: `${process.env.CONSOLE_PICTURES}/admin-page${colorScheme === "dark" ? "-dark" : ""}.png`, fullPage: true });
  }
  await small.screenshot({ path: `${process.env.CONSOLE_PICTURES}/admin-phone.png`, fullPage: true });
}
