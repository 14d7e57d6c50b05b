import assert from "node:assert/strict";
import { test } from "node:test";
import { open, settle } from "./world.js";

const send = (world, ref, more = {}) => world.core.publish({ ref, room: "a", json: String(ref), key: `key ${ref}`, ...more });
const sent = (link) => link.sent.filter(({ type }) => type === "publish");
const answers = (world) => world.told("answer").map(({ ref, result, failure }) => [ref, failure?.code ?? result.id]);
const answer = (link, n, more) => link.say({ type: "ok", ref: sent(link)[n].ref, ...more });
const refuse = (link, n, code) => link.say({ type: "error", ref: sent(link)[n].ref, code, message: code });

test("what is published waits for a link, and for its answer", () => {
  const world = open();
  world.link.end();
  send(world, 1, { event: "e", echo: false });
  send(world, 2, { json: undefined, bytes: new Uint8Array([0, 255]) });
  world.pass(1000);
  world.link.welcome();
  const [first, second] = sent(world.link);
  assert.deepEqual([first.data, first.event, first.echo, first.key], [1, "e", false, "key 1"]);
  assert.deepEqual([second.base64, second.key, "data" in second], ["AP8=", "key 2", false]);
  answer(world.link, 0, { id: "5-1" });
  answer(world.link, 1);
  assert.deepEqual(answers(world), [[1, "5-1"], [2, undefined]]);
});

test("what had no answer is sent again, in order, with its key", () => {
  const world = open();
  for (const ref of [1, 2, 3]) send(world, ref);
  answer(world.link, 1, { id: "5-2" });
  world.link.end();
  world.pass(1000);
  world.link.welcome();
  assert.deepEqual(sent(world.link).map(({ key }) => key), ["key 1", "key 3"]);
});

test("no more than a window is on its way", () => {
  const world = open();
  for (let ref = 1; ref <= 40; ref++) send(world, ref);
  assert.equal(sent(world.link).length, 32);
  answer(world.link, 0);
  assert.equal(sent(world.link).length, 33);
});

test("the queue is bounded, in messages and in bytes", () => {
  const world = open({ settings: { queueMessages: 3, queueBytes: 4096 } });
  for (const ref of [1, 2, 3, 4]) send(world, ref);
  assert.deepEqual(answers(world), [[4, "queue_full"]]);
  for (const n of [0, 1, 2]) answer(world.link, n, { id: "x" });
  send(world, 5, { json: `"${"x".repeat(3000)}"` });
  send(world, 6, { json: `"${"x".repeat(3000)}"` });
  assert.deepEqual(answers(world).at(-1), [6, "queue_full"]);
});

test("what cannot be taken now is sent again later, what may not be is refused", () => {
  const world = open();
  for (const ref of [1, 2]) send(world, ref);
  refuse(world.link, 0, "unavailable");
  refuse(world.link, 1, "forbidden");
  assert.deepEqual(answers(world), [[2, "forbidden"]]);
  send(world, 3);
  assert.equal(sent(world.link).length, 2, "nothing is sent meanwhile");
  world.pass(500);
  assert.deepEqual(sent(world.link).slice(2).map(({ key }) => key), ["key 1", "key 3"]);
});

test("a burst that comes too fast makes for one wait", () => {
  const world = open();
  for (let ref = 1; ref <= 20; ref++) send(world, ref);
  for (let n = 0; n < 20; n++) refuse(world.link, n, "rate_limited");
  world.pass(500);
  assert.equal(sent(world.link).length, 40);
  for (let n = 20; n < 40; n++) refuse(world.link, n, "rate_limited");
  world.pass(1000);
  assert.equal(sent(world.link).length, 60);
});

test("what was sent so long ago that a repetition could double it is given up", () => {
  const world = open();
  send(world, 1);
  world.link.end();
  send(world, 2);
  for (let n = 0; n < 400; n++) (world.pass(1000), world.link.end());
  assert.deepEqual(answers(world), [[1, "uncertain"]], "what was never sent still waits");
});

test("a message that a connection is closed for is not sent again", () => {
  const world = open();
  send(world, 1);
  send(world, 2, { json: `"${"x".repeat(9000)}"` });
  world.link.end(1009);
  assert.deepEqual(answers(world), [[2, "too_large"]]);
  world.pass(1000);
  world.link.welcome();
  assert.deepEqual(sent(world.link).map(({ key }) => key), ["key 1"]);
});

test("where a link cannot send, messages go over HTTP one by one", async () => {
  const requests = [];
  const world = open({ names: ["sse"], publish: (item) => new Promise((resolve, reject) => requests.push({ item, resolve, reject })) });
  for (const ref of [1, 2]) send(world, ref);
  assert.equal(requests.length, 1);
  requests[0].reject({ code: "unavailable", message: "" });
  await settle();
  world.pass(500);
  assert.equal(requests[1].item.key, "key 1");
  requests[1].resolve({ id: "5-1" });
  await settle();
  assert.equal(requests[2].item.key, "key 2");
  requests[2].resolve({});
  await settle();
  assert.deepEqual(answers(world), [[1, "5-1"], [2, undefined]]);
});

test("a token that has ended over HTTP keeps the message until there is another", async () => {
  for (const isLinkGone of [false, true]) {
    const tokens = ["token 1", "token 2"];
    const requests = [];
    const publish = (item, token) => new Promise((resolve, reject) => requests.push({ token, resolve, reject }));
    const world = open({ names: ["sse"], publish, token: () => tokens.shift() });
    await settle();
    world.link.welcome();
    send(world, 1);
    if (isLinkGone) world.link.end(4401);
    requests[0].reject({ code: "unauthorized", message: "" });
    await settle();
    assert.equal(world.links.length, 2);
    world.link.welcome();
    requests[1].resolve({ id: "5-1" });
    await settle();
    assert.deepEqual(requests.map(({ token }) => token), ["token 1", "token 2"]);
    assert.deepEqual(answers(world), [[1, "5-1"]]);
  }
});

test("a message that needs a token is refused to a client without one, which stays", async () => {
  const world = open({ names: ["sse"], publish: () => Promise.reject({ code: "unauthorized", message: "" }) });
  send(world, 1);
  await settle();
  assert.deepEqual(answers(world), [[1, "unauthorized"]]);
  assert.equal(world.link.isClosed, false);
});

test("closing gives up what was not answered", () => {
  const world = open();
  send(world, 1);
  world.core.close();
  assert.deepEqual(answers(world), [[1, "closed"]]);
});
