import assert from "node:assert/strict";
import { test } from "node:test";
import { composeCursor, idInCursor, roomKey } from "../dist/cursor.js";
import { eventStreamReader } from "../dist/event-stream.js";
import { Roster } from "../dist/roster.js";
import { subjectOf } from "../dist/token.js";

test("cursors are those of the gateway", () => {
  // The same values as in crates/protocol/src/position.rs.
  assert.equal(roomKey("a"), "dc4c860143ef");
  assert.equal(roomKey("chat:42"), "ba466480d9fb");
  const cursor = composeCursor([["a", "5-1"], ["chat:42", "0-1700000000"]]);
  assert.equal(cursor, "dc4c860143ef.5-1_ba466480d9fb.0-1700000000");
  assert.equal(idInCursor(cursor, "chat:42"), "0-1700000000");
  assert.equal(idInCursor(cursor, "b"), undefined);
  assert.equal(idInCursor("5-1", "b"), "5-1");
  assert.equal(idInCursor(null, "b"), undefined);
  assert.equal(composeCursor([]), undefined);
});

test("events are read however they are cut", () => {
  const text = 'retry: 2000\nid: 5-0\nevent: connected\ndata: {"größe":1}\n\n: ping\n\ndata: a\ndata:  b\n\r\n'.replace("\n\r\n", "\n\n") +
    "id: 5-1\r\nevent: x\r\ndata: c\r\n\r\ndata\n\nevent: nothing\n\n";
  const whole = [];
  eventStreamReader((event) => whole.push(event))(text);
  assert.deepEqual(whole, [
    { event: "connected", data: '{"größe":1}', id: "5-0" },
    { event: "message", data: "a\n b", id: "5-0" },
    { event: "x", data: "c", id: "5-1" },
    { event: "message", data: "", id: "5-1" },
  ]);
  const pieces = [];
  const read = eventStreamReader((event) => pieces.push(event));
  for (const character of text) read(character);
  assert.deepEqual(pieces, whole);
  assert.throws(() => eventStreamReader(() => {})("x".repeat(1 << 25)));
});

test("a roster adds up", () => {
  const roster = new Roster();
  const [alice, bob] = [{ user: "alice", connections: 1 }, { connection: "alice", connections: 1 }];
  assert.deepEqual(roster.replace([alice, bob]), { joined: [alice, bob], left: [] });
  assert.deepEqual(roster.change([{ ...alice, connections: 2 }], [bob]), { joined: [], left: [bob] });
  assert.deepEqual(roster.change([], [bob]), { joined: [], left: [] });
  assert.deepEqual([...roster.values()], [{ ...alice, connections: 2 }]);
});

test("a token names its user, whatever it looks like", () => {
  const token = (claims) => `x.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.y`;
  assert.equal(subjectOf(token({ sub: "alice?~" })), "alice?~");
  for (const other of [undefined, "", "opaque", "a.b.c", "a.%.c", token({}), token({ sub: 5 }), token(null)]) assert.equal(subjectOf(other), undefined);
});
