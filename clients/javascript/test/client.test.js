import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { Client, MissedError, RoomcastError } from "../dist/index.js";
import { UNREAD_MAX } from "../dist/inbox.js";
import { settle } from "./world.js";

/** A client whose core only notes what it is asked for. */
function make() {
  const asked = [];
  const port = new Proxy({}, { get: (_, name) => (...values) => void asked.push([name, ...values]) });
  return { client: new Client(port), asked };
}

const message = (data, more = {}) => ({ room: "a", event: "message", data, ...more });

const reported = [];
globalThis.reportError = (error) => reported.push(error);
afterEach(() => void reported.splice(0));

test("listeners hear their room, the client hears all, and one that throws does not silence the others", () => {
  const { client, asked } = make();
  const heard = [];
  client.room("a").on("message", () => { throw new Error("mine"); });
  const stop = client.room("a").on("message", ({ data }) => heard.push(`a ${data}`));
  client.on("message", ({ room, data }) => heard.push(`all ${room} ${data}`));
  client.notice("message", message(1, { id: "5-1" }));
  stop();
  client.notice("message", message(2));
  client.notice("message", { ...message(3), room: "@u" });
  assert.deepEqual(heard, ["a 1", "all a 1", "all a 2", "all @u 3"]);
  assert.equal(client.room("a").id, "5-1");
  assert.deepEqual(asked, [["join", "a", undefined]], "asked for once");
  assert.deepEqual(reported.map(({ message }) => message), ["mine", "mine"]);
});

test("a room can be iterated", async () => {
  const { client } = make();
  const seen = [];
  const reading = (async () => {
    for await (const { data } of client.room("a")) if (seen.push(data) === 3) break;
  })();
  for (const data of [1, 2]) client.notice("message", message(data));
  await settle();
  client.notice("message", message(3));
  await reading;
  assert.deepEqual(seen, [1, 2, 3]);
});

test("of the user's own room, which nobody has asked for, only those hear who hear all rooms", () => {
  const missed = { room: "@u", cause: "no_history" };
  const { client } = make();
  client.room("a").on("message", () => {});
  client.notice("missed", missed);
  assert.deepEqual(reported, [], "its messages go nowhere either");
  client.on("message", () => {});
  client.notice("missed", missed);
  assert.ok(reported[0] instanceof MissedError, "now somebody would miss them");
});

test("what is missing cannot be overlooked", async () => {
  const missed = { room: "a", cause: "reset" };
  const { client } = make();
  const room = client.room("a");

  client.notice("missed", missed);
  assert.ok(reported[0] instanceof MissedError, "nobody listens at all");

  const stopMessages = room.on("message", () => {});
  client.notice("missed", missed);
  assert.equal(reported.length, 2, "somebody listens to messages only");
  stopMessages();

  const seen = [];
  const reading = assert.rejects(async () => {
    for await (const { data } of room) seen.push(data);
  }, (error) => error instanceof MissedError && error.missed.cause === "reset");
  client.notice("message", message(1));
  client.notice("missed", missed);
  client.notice("message", message(2));
  await reading;
  assert.deepEqual([seen, reported.length], [[1], 2], "it stands where the messages are missing");

  for (const listener of [room, client]) {
    const heard = [];
    const stop = listener.on("missed", (value) => heard.push(value));
    const next = room[Symbol.asyncIterator]().next();
    client.notice("missed", missed);
    client.notice("message", message(3));
    assert.equal((await next).value.data, 3, "who listens is told, and iterators go on");
    assert.deepEqual([heard, reported.length], [[missed], 2]);
    stop();
  }
});

test("an iterator that is not read ends with an error", async () => {
  const { client } = make();
  const messages = client.room("a")[Symbol.asyncIterator]();
  const first = messages.next();
  for (let n = 0; n <= UNREAD_MAX; n++) client.notice("message", message(n));
  assert.equal((await first).value.data, 0);
  for (let n = 1; n < UNREAD_MAX; n++) await messages.next();
  await assert.rejects(messages.next(), (error) => error.missed.cause === "unread");
});

test("publishing resolves with the answer, or rejects with a code", async () => {
  const { client, asked } = make();
  const data = { a: 1 };
  const first = client.publish("a", data);
  data.a = 2;
  const second = client.room("b").publish(new Uint8Array([1]), { key: "k", event: "e" });
  const [one, , two] = asked.map(([, item]) => item);
  assert.equal(one.json, '{"a":1}', "as it was when it was published");
  assert.deepEqual([two.key, two.event, [...two.bytes]], ["k", "e", [1]]);
  assert.ok(one.key.length >= 20 && one.key.length <= 200);
  client.notice("answer", { ref: two.ref, failure: { code: "forbidden", message: "no" } });
  client.notice("answer", { ref: one.ref, result: { id: "5-1" } });
  assert.deepEqual(await first, { id: "5-1" });
  await assert.rejects(second, (error) => error instanceof RoomcastError && error.code === "forbidden");
  await assert.rejects(client.publish("a", undefined), TypeError);
  await assert.rejects(client.publish("a", () => {}), TypeError);
});

test("when it is over everybody is told", async () => {
  const { client } = make();
  const room = client.room("a");
  const iterating = assert.rejects(room[Symbol.asyncIterator]().next(), { code: "disconnected" });
  const publishing = assert.rejects(client.publish("a", 1), { code: "disconnected" });
  client.notice("closed", { code: "disconnected", message: "by an operator" });
  await Promise.all([iterating, publishing]);
  assert.equal(reported[0].code, "disconnected", "nobody listens to closed");
});

test("history and members are read, with bytes as bytes", async () => {
  const { client, asked } = make();
  const history = client.room("chat:1").history({ after: "5-1", limit: 2 });
  const [, ref, path] = asked.at(-1);
  assert.equal(path, "/rooms/chat%3A1/history?after=5-1&limit=2");
  const frame = { type: "message", room: "chat:1", event: "e", id: "5-2", base64: "AP8=" };
  client.notice("answer", { ref, result: { id: "5-2", messages: [frame, { ...frame, base64: "" }] } });
  const { messages } = await history;
  assert.deepEqual(messages.map(({ data }) => [...data]), [[0, 255], []]);
  assert.equal("base64" in messages[0] || "type" in messages[0], false);
});
