import assert from "node:assert/strict";
import { test } from "node:test";
import { World, open, settle } from "./world.js";

test("transports are tried one after the other, then there is a pause", () => {
  const world = new World();
  world.core.start();
  for (let n = 0; n < 3; n++) world.link.end();
  assert.deepEqual(world.links.map(({ name }) => name), ["websocket", "sse", "poll"]);
  assert.equal(world.states.at(-1), "waiting");
  world.pass(499);
  assert.equal(world.links.length, 3);
  world.pass(1);
  assert.equal(world.link.name, "websocket", "a new pass begins with what is wished for");
});

test("waits double, with full jitter, up to their cap", () => {
  const world = new World({ names: ["websocket"] });
  world.chance = 0.999;
  world.core.start();
  for (const wait of [999, 1998, 3996, 7992, 15_984, 29_970, 29_970]) {
    const before = world.links.length;
    world.link.end();
    world.pass(wait - 1);
    assert.equal(world.links.length, before);
    world.pass(1);
    assert.equal(world.links.length, before + 1);
  }
  world.chance = 0;
  world.link.end();
  world.pass(0);
  assert.equal(world.links.length, 9, "nothing is also a wait");
});

test("a transport that does not open in time makes place for the next", () => {
  const world = new World();
  world.core.start();
  world.pass(9_999);
  assert.equal(world.links.length, 1);
  world.pass(1);
  assert.ok(world.links[0].isClosed);
  assert.equal(world.link.name, "sse");
  world.links[0].welcome();
  assert.equal(world.states.at(-1), "connecting sse", "what comes too late does not count");
});

test("what worked is tried first, and the better one again after a while", () => {
  const world = new World();
  world.core.start();
  world.link.end();
  world.link.welcome();
  assert.equal(world.states.at(-1), "connected sse");
  world.link.end();
  world.pass(1000);
  assert.equal(world.link.name, "sse");
  world.link.welcome();
  const stream = world.link;
  // Signs of life every minute.
  for (let n = 0; n < 5; n++) (world.pass(60_000), stream.events.heard());
  assert.equal(world.link.name, "websocket");
  assert.equal(world.states.at(-1), "connected sse", "the stream goes on meanwhile");
  world.link.end();
  assert.equal(stream.isClosed, false);
  for (let n = 0; n < 5; n++) (world.pass(60_000), stream.events.heard());
  world.link.welcome();
  assert.ok(stream.isClosed);
  assert.equal(world.states.at(-1), "connected websocket");
});

test("a silent WebSocket is asked, and given up when there is no answer", () => {
  const world = open();
  const socket = world.link;
  world.pass(25_000);
  assert.equal(socket.command("ping").type, "ping");
  socket.say({ type: "pong" });
  world.pass(29_999);
  assert.equal(socket.isClosed, false);
  world.pass(1);
  assert.ok(socket.isClosed);
  assert.equal(world.states.at(-1), "waiting");
});

test("a stream that opens and then keeps everything back is not tried first again", () => {
  const world = new World();
  world.core.start();
  world.core.join("a");
  world.link.end();
  world.link.welcome().say({ type: "subscribed", room: "a", id: null, resumed: false, missed: false });
  world.pass(76_000);
  assert.equal(world.link.name, "poll");
});

test("a stream that was alive for a while and then is silent is tried again", () => {
  const world = new World({ names: ["sse", "poll"] });
  world.core.start();
  world.link.welcome();
  world.pass(30_000);
  world.links[0].events.heard();
  world.pass(76_000);
  assert.deepEqual(world.links.map(({ name }) => name), ["sse", "sse"]);
});

test("a link that ends while a better one opens leaves nothing open", () => {
  const world = new World({ settings: { upgradeMs: 10_000 } });
  world.core.start();
  world.link.end();
  const stream = world.link.welcome();
  world.pass(10_000);
  const probe = world.link;
  assert.equal(probe.name, "websocket");
  stream.end();
  world.pass(500);
  assert.ok(probe.isClosed);
  assert.equal(world.links.filter(({ isClosed }) => !isClosed).length, 1);
  world.link.welcome();
  world.pass(5_000);
  assert.equal(world.links.length, 4, "one attempt at a time");
});

test("after a sleep the socket is asked, and found dead within seconds", () => {
  const world = open();
  const socket = world.link;
  world.jump(3 * 3600_000);
  world.pass(5_000);
  assert.equal(socket.command("ping").type, "ping");
  assert.equal(socket.isClosed, false, "a late timer alone says nothing of the socket");
  world.pass(5_000);
  assert.ok(socket.isClosed);
  world.pass(1000);
  assert.equal(world.links.length, 2);
});

test("a sleep is found out at once where the page is told that it is over", () => {
  const world = open();
  world.jump(3 * 3600_000);
  world.core.wake();
  assert.equal(world.link.command("ping").type, "ping");
  world.link.say({ type: "pong" });
  world.pass(24_000);
  assert.equal(world.link.isClosed, false, "the socket has outlived it");
});

test("a clock that is set back delays nothing", () => {
  const world = open();
  world.pass(4_000);
  world.jump(-24 * 3600_000);
  world.pass(27_000);
  assert.equal(world.link.command("ping").type, "ping");
  world.link.end();
  world.jump(-24 * 3600_000);
  world.pass(6_000);
  assert.equal(world.links.length, 2, "the next attempt is not a day away");
});

test("waking ends the wait", () => {
  const world = new World({ names: ["websocket"] });
  world.core.start();
  for (let n = 0; n < 8; n++) (world.link.end(), world.core.wake());
  assert.equal(world.links.length, 9);
});

test("codes that say so end it", () => {
  for (const [code, expected] of [[4403, "forbidden"], [4410, "disconnected"], [4401, "unauthorized"], [4400, "bad_request"]]) {
    const world = open();
    world.link.end(code, { reason: "because" });
    assert.deepEqual(world.told("closed"), [{ code: expected, message: "because" }]);
    world.pass(3600_000);
    assert.equal(world.links.length, 1);
    assert.equal(world.timers, 0);
  }
});

test("codes that say so are come back from", () => {
  for (const code of [1000, 1001, 1002, 1006, 1008, 1009, 1012, 4408, 4503]) {
    const world = open();
    world.link.end(code);
    world.pass(1000);
    assert.equal(world.links.length, 2, String(code));
  }
});

test("too fast means much later", () => {
  const world = open();
  world.link.end(4429);
  world.pass(10_499);
  assert.equal(world.links.length, 1);
  world.pass(1);
  assert.equal(world.links.length, 2);
});

test("a node that lets everyone go says when to come back", () => {
  const world = open();
  world.link.say({ type: "goodbye", reason: "drain", reconnect_ms: 730 });
  world.link.end(1006);
  world.pass(729);
  assert.equal(world.links.length, 1);
  world.pass(1);
  assert.equal(world.links.length, 2);
  world.link.welcome();
  world.link.end(1012, { delayMs: 5_000 });
  world.pass(4_999);
  assert.equal(world.links.length, 2);
  world.pass(1);
  assert.equal(world.links.length, 3);
});

test("a gateway that is there and asks for time is not circumvented", () => {
  const world = new World();
  world.core.start();
  world.link.end();
  world.link.end(4503, { delayMs: 1000 });
  assert.equal(world.links.length, 2);
  world.pass(1500);
  assert.equal(world.link.name, "websocket");
});

test("a token is asked for, and a fresh one when it has ended", async () => {
  const asked = [];
  const world = new World({ token: (reason) => `token ${asked.push(reason)}` });
  world.core.start();
  assert.equal(world.links.length, 0);
  await settle();
  world.link.welcome();
  assert.equal(world.link.command("auth").token, "token 1");
  world.link.say({ type: "ok", ref: world.link.command("auth").ref });
  world.link.end(4401);
  await settle();
  world.link.welcome();
  assert.equal(world.link.command("auth").token, "token 2");
  // One that is refused although it is fresh makes for a pause.
  world.link.end(4401);
  await settle();
  assert.equal(world.links.length, 2);
  world.pass(500);
  await settle();
  assert.equal(world.links.length, 3);
  assert.deepEqual(asked, ["connect", "expired", "expired"]);
});

test("without a token any more it ends; without an answer it is tried again", async () => {
  const answers = [Promise.reject(new Error("offline")), new Promise(() => {}), null];
  const world = new World({ token: () => answers.shift() });
  world.core.start();
  await settle();
  world.pass(500);
  await settle();
  assert.equal(answers.length, 1);
  world.pass(30_000 + 1000);
  await settle();
  assert.equal(world.told("closed")[0].code, "unauthorized");
  assert.equal(world.links.length, 0);
});

test("closing leaves nothing behind", () => {
  const world = open();
  world.core.join("a");
  world.core.close();
  assert.ok(world.link.isClosed);
  assert.equal(world.timers, 0);
  assert.deepEqual(world.told("closed"), [undefined]);
  world.core.publish({ ref: 1, room: "a", json: "1", key: "k" });
  assert.equal(world.told("answer")[0].failure.code, "closed");
});
