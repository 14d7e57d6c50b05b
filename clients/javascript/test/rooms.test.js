import assert from "node:assert/strict";
import { test } from "node:test";
import { World, open, settle } from "./world.js";

const verdicts = (world) => world.told("joined").map(({ room, resumed, id }) => `${room} ${resumed} ${id}`);

test("a room is joined, left behind by a link, and come back to with the last id", () => {
  const world = open();
  world.core.join("a");
  world.link.subscribed("a", { id: "5-1" });
  world.link.message("a", "5-2");
  world.link.end();
  world.pass(1000);
  world.link.welcome();
  assert.equal(world.link.command("subscribe").after, "5-2");
  world.link.message("a", "5-3");
  assert.equal(world.told("message").length, 1, "not before the gateway has said how it begins");
  world.link.subscribed("a", { id: "5-2", resumed: true });
  world.link.message("a", "5-3");
  assert.deepEqual(verdicts(world), ["a false 5-1", "a true 5-2"]);
  assert.deepEqual(world.told("missed"), []);
  assert.deepEqual(world.told("message").map(({ id }) => id), ["5-2", "5-3"]);
});

test("what is missing is told", () => {
  const world = open();
  for (const room of ["a", "b"]) {
    world.core.join(room);
    world.link.subscribed(room, { id: room === "a" ? "5-1" : null });
  }
  world.link.say({ type: "reset", room: "a" }, { type: "dropped", room: "b", count: 7 });
  world.link.end();
  world.pass(1000);
  world.link.welcome();
  world.link.subscribed("a", { id: "9-0", missed: true });
  world.link.subscribed("b", { id: null });
  assert.deepEqual(world.told("missed"), [
    { room: "a", cause: "reset" },
    { room: "b", cause: "dropped", count: 7 },
    { room: "a", cause: "missed" },
    { room: "b", cause: "no_history" },
  ]);
});

test("a page that was loaded again goes on from the id that it has kept", () => {
  const world = open();
  world.core.join("a", "5-7");
  assert.equal(world.link.command("subscribe").after, "5-7");
  world.link.subscribed("a", { id: "9-1", missed: true });
  assert.deepEqual(world.told("missed"), [{ room: "a", cause: "missed" }]);
});

test("cursors go from a WebSocket to a stream and on to a poll", () => {
  const world = open();
  for (const room of ["a", "b"]) (world.core.join(room), world.link.subscribed(room));
  world.link.message("b", "5-9");
  world.link.end();
  world.pass(1000);
  world.link.end();
  assert.equal(world.link.name, "sse");
  assert.deepEqual([...world.link.request.ids], [["a", "5-1"], ["b", "5-9"]]);
  assert.deepEqual(world.link.request.rooms, ["a", "b"]);
});

test("a room joined on a stream opens another, which knows what was heard", () => {
  const world = open({ names: ["sse"] });
  world.core.join("a");
  world.pass(0);
  assert.ok(world.links[0].isClosed);
  world.link.welcome().say({ type: "subscribed", room: "a", id: "5-1", resumed: false, missed: false });
  world.link.message("a", "5-2");
  world.core.join("b");
  world.core.join("c");
  world.pass(0);
  assert.equal(world.links.length, 3, "two rooms, one link");
  assert.deepEqual(world.link.request.rooms, ["a", "b", "c"]);
  assert.deepEqual([...world.link.request.ids], [["a", "5-2"]]);
});

test("rooms asked for or left while a stream opens are not forgotten", () => {
  const world = new World({ names: ["sse"] });
  world.core.join("a");
  world.core.join("b");
  world.core.start();
  world.core.join("c");
  world.core.leave("b");
  const subscribed = (room) => ({ type: "subscribed", room, id: null, resumed: false, missed: false });
  world.link.welcome().say(subscribed("a"), subscribed("b"));
  world.link.message("b");
  assert.deepEqual(world.told("message"), []);
  world.pass(0);
  assert.deepEqual(world.link.request.rooms, ["a", "c"]);
});

test("the personal room is entered with the token, and come back to", () => {
  const world = open({ token: "t" });
  const own = { type: "subscribed", room: "@u", id: "5-1", resumed: false, missed: false };
  world.link.say(own, { type: "ok", ref: world.link.command("auth").ref });
  world.link.message("@u", "5-2");
  world.link.end();
  world.pass(1000);
  world.link.welcome();
  world.link.say({ ...own, id: "5-4" });
  // Live already, but what came between is not there yet.
  world.link.message("@u", "5-5");
  assert.deepEqual(world.link.sent.slice(-2).map(({ type, after }) => [type, after]), [["unsubscribe", undefined], ["subscribe", "5-2"]]);
  world.link.subscribed("@u", { id: "5-2", resumed: true });
  for (const id of ["5-3", "5-4", "5-5"]) world.link.message("@u", id);
  assert.deepEqual(world.told("message").map(({ id }) => id), ["5-2", "5-3", "5-4", "5-5"]);
  assert.deepEqual(world.told("missed"), []);
});

test("a room that is refused is given up, and the others stay", () => {
  const world = open();
  world.core.join("a");
  world.link.say({ type: "error", ref: world.link.command("subscribe").ref, code: "forbidden", message: "no" });
  assert.deepEqual(world.told("left"), [{ room: "a", failure: { code: "forbidden", message: "no" } }]);
  assert.equal(world.link.isClosed, false);
  world.core.join("b");
  world.link.say({ type: "error", ref: world.link.command("subscribe").ref, code: "unavailable", message: "later" });
  assert.ok(world.link.isClosed);
  world.pass(1000);
  world.link.welcome();
  assert.equal(world.link.sent.filter(({ type }) => type === "subscribe").length, 1, "only the one that may");
});

test("who is taken out does not come back", () => {
  const world = open();
  world.core.join("a");
  world.link.subscribed("a");
  world.link.say({ type: "unsubscribed", room: "a" });
  assert.equal(world.told("left")[0].failure.code, "removed");
  world.link.end();
  world.pass(1000);
  world.link.welcome();
  assert.equal(world.link.command("subscribe"), undefined);
});

test("left and joined again, only the last answer counts", () => {
  const world = open();
  world.core.join("a");
  const { ref } = world.link.command("subscribe");
  world.core.leave("a");
  world.core.join("a");
  world.link.say({ type: "subscribed", room: "a", id: "5-1", resumed: false, missed: false, ref });
  assert.deepEqual(verdicts(world), []);
  world.link.subscribed("a", { id: "5-3" });
  assert.deepEqual(verdicts(world), ["a false 5-3"]);
});

test("presence is told as changes, also over a reconnect", () => {
  const world = open();
  const [alice, bob] = ["alice", "bob"].map((user) => ({ user, connections: 1 }));
  world.core.join("a", undefined, true);
  world.link.subscribed("a");
  assert.equal(world.link.command("subscribe").presence, true);
  world.link.say({ type: "members", room: "a", members: [alice] }, { type: "presence", room: "a", joined: [bob], left: [] });
  world.link.end();
  world.pass(1000);
  world.link.welcome();
  world.link.subscribed("a", { resumed: true });
  world.link.say({ type: "members", room: "a", members: [bob] });
  assert.deepEqual(
    world.told("presence").map(({ joined, left, members }) => [joined, left, members].map((list) => list.map(({ user }) => user).join())),
    [["alice", "", "alice"], ["bob", "", "alice,bob"], ["", "alice", "bob"]],
  );
});

test("where nobody tells who is there, it is asked", async () => {
  const lists = [[{ user: "alice", connections: 1 }], []];
  const world = open({ names: ["sse"], get: async (path) => (assert.equal(path, "/rooms/chat%3A1/presence"), { members: lists.shift() }) });
  world.core.join("chat:1", undefined, true);
  world.pass(0);
  world.link.welcome().say({ type: "subscribed", room: "chat:1", id: null, resumed: false, missed: false });
  world.pass(0);
  await settle();
  world.pass(15_000);
  await settle();
  assert.deepEqual(world.told("presence").map(({ joined, left }) => [joined.length, left.length]), [[1, 0], [0, 1]]);
});

test("a world without rooms is connected as well", () => {
  const world = new World({ names: ["websocket"] });
  world.core.start();
  world.link.welcome();
  assert.equal(world.states.at(-1), "connected websocket");
});
