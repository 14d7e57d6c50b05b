import assert from "node:assert/strict";
import { test } from "node:test";
import { connectPort } from "../dist/shared.js";
import { serve } from "../dist/worker.js";

/** A worker whose cores only note what they are asked for, and tabs that can be ended; the worker can die, and another is made. */
class Browser {
  cores = [];
  #ports = [];
  #tabs = [];
  #gone = [];
  /** What waits for the end of the worker. */
  #orphans = [];
  #accept = this.#makeWorker();

  #makeWorker() {
    return serve(
      (url, options, emit) => {
        const core = { url, options, emit, asked: [] };
        this.cores.push(core);
        const note = (name, ...values) => {
          if (name === "get") emit("answer", { ref: values[0] });
          else core.asked.push([name, ...values]);
          if (name === "leave") emit("left", { room: values[0] });
        };
        return new Proxy({}, { get: (_, name) => (...values) => note(name, ...values) });
      },
      (_lock, run) => this.#gone.push(run),
      Promise.resolve("worker"),
    );
  }

  open(options = {}, url = "https://rt.example") {
    let port;
    const connect = () => {
      const { port1, port2 } = new MessageChannel();
      this.#ports.push(port1, port2);
      this.#accept(port2);
      port = port2;
      return port1;
    };
    const client = connectPort(connect, url, options, (_lock, run) => this.#orphans.push(run));
    const told = [];
    for (const name of ["status", "message", "missed", "joined", "left", "presence", "closed"]) client.on(name, (value) => told.push([name, value]));
    const die = () => port.onmessage({ data: { call: ["close"] } });
    this.#tabs.push(client);
    return { client, told, die, of: (name) => told.filter(([other]) => other === name).map(([, value]) => value) };
  }

  /** Nothing comes from the worker any more; whoever waits for its end makes another. */
  crash() {
    this.#accept = this.#makeWorker();
    for (const run of this.#orphans.splice(0)) run();
  }

  /** The worker has died, and nobody knows yet: who asks it hears nothing. */
  dies() {
    this.#accept = () => {};
  }

  calls(name, core = this.cores[0]) {
    return core.asked.filter(([other]) => other === name).map(([, ...values]) => values);
  }

  /** All that tabs and worker have said to each other until now has come: ports keep the order. */
  async settled() {
    const open = this.#tabs.filter(({ status }) => status.state !== "closed");
    await Promise.all(open.map((client) => client.ask((ref) => client.port.get(ref, "/"))));
  }

  /** A tab is closed, or all until now. */
  forget(closed) {
    this.#tabs = this.#tabs.filter((client) => closed && client !== closed);
  }

  end() {
    this.#ports.forEach((port) => port.close());
  }
}

const message = (room, id) => ({ room, event: "message", data: 1, id });

test("tabs share one connection, and hear their own rooms", async (context) => {
  const browser = new Browser();
  context.after(() => browser.end());
  const [one, two] = [browser.open({ rooms: ["a"] }), browser.open({ rooms: ["b"] })];
  await browser.settled();
  assert.equal(browser.cores.length, 1);
  assert.deepEqual(browser.calls("join").map(([room]) => room), ["a", "b"]);
  const { emit } = browser.cores[0];
  emit("joined", { room: "a", resumed: false, id: "5-1" });
  emit("message", message("a", "5-2"));
  emit("message", message("b"));
  emit("message", message("@u"));
  emit("status", { state: "waiting" });
  await browser.settled();
  assert.deepEqual(one.of("message").map(({ room }) => room), ["a", "@u"]);
  assert.deepEqual(two.of("message").map(({ room }) => room), ["b", "@u"]);
  assert.equal(two.client.status.state, "waiting");

  const late = browser.open({ rooms: ["a", { room: "b", after: "5-0" }] });
  await browser.settled();
  assert.deepEqual(late.of("joined"), [{ room: "a", resumed: false, id: "5-2" }], "where the connection is now");
  emit("joined", { room: "b", resumed: false, id: "9-1" });

  const other = browser.open({}, "https://other.example");
  await browser.settled();
  assert.equal(browser.cores.length, 2, "another gateway");
  assert.equal(other.client.status.state, "connecting");
});

test("tabs that come from different places in a room get what they do not have, and nothing twice", async (context) => {
  const browser = new Browser();
  context.after(() => browser.end());
  const ahead = browser.open({ rooms: [{ room: "a", after: "5-3" }] });
  const behind = browser.open({ rooms: [{ room: "a", after: "5-1" }] });
  const fresh = browser.open({ rooms: ["a"] });
  await browser.settled();
  assert.deepEqual(browser.calls("join").map(([, after]) => after), ["5-3", "5-1", undefined]);
  assert.deepEqual(browser.calls("leave"), [["a"]], "to go back");
  const { emit } = browser.cores[0];
  emit("joined", { room: "a", resumed: true, id: "5-1" });
  for (const offset of [2, 3, 4]) emit("message", message("a", `5-${offset}`));
  await browser.settled();
  const ids = (tab) => tab.of("message").map(({ id }) => id);
  assert.deepEqual([ids(ahead), ids(behind), ids(fresh)], [["5-4"], ["5-2", "5-3", "5-4"], ["5-2", "5-3", "5-4"]]);
  assert.deepEqual([ahead, behind, fresh].map((tab) => tab.of("joined")[0]), [
    { room: "a", resumed: true, id: "5-3" }, { room: "a", resumed: true, id: "5-1" }, { room: "a", resumed: false, id: "5-1" },
  ]);
  assert.deepEqual(ahead.of("left"), []);

  const late = browser.open({ rooms: [{ room: "a", after: "5-2" }] });
  const newest = browser.open({ rooms: [{ room: "a", after: "5-4" }] });
  await browser.settled();
  emit("joined", { room: "a", resumed: true, id: "5-2" });
  for (const offset of [3, 4, 5]) emit("message", message("a", `5-${offset}`));
  await browser.settled();
  assert.deepEqual([ids(late), ids(newest), ids(ahead)], [["5-3", "5-4", "5-5"], ["5-5"], ["5-4", "5-5"]]);

  // Nothing is known of so long ago: that concerns who was behind.
  const old = browser.open({ rooms: [{ room: "a", after: "4-0" }] });
  await browser.settled();
  emit("missed", { room: "a", cause: "missed" });
  emit("joined", { room: "a", resumed: false, id: "5-5" });
  await browser.settled();
  assert.deepEqual(old.of("missed"), [{ room: "a", cause: "missed" }]);
  assert.deepEqual(late.of("missed"), []);
  assert.deepEqual(late.of("joined").at(-1), { room: "a", resumed: true, id: "5-5" });
});

test("when the worker dies another goes on where it was", async (context) => {
  const browser = new Browser();
  context.after(() => browser.end());
  const [one, two] = [browser.open({ rooms: ["a", "plain"] }), browser.open({ rooms: ["a"] })];
  await browser.settled();
  const { emit } = browser.cores[0];
  emit("joined", { room: "a", resumed: false, id: "5-1" });
  emit("joined", { room: "plain", resumed: false });
  emit("joined", { room: "@u", resumed: false, id: "7-1" });
  emit("message", message("a", "5-2"));
  const published = [one.client.publish("a", "first", { key: "k1" }), one.client.publish("a", "second", { key: "k2" })];
  one.client.room("a").on("presence", () => {});
  await browser.settled();
  emit("answer", { ref: browser.calls("publish")[0][0].ref, result: { id: "5-3" } });
  assert.deepEqual(await published[0], { id: "5-3" });

  browser.crash();
  await browser.settled();
  assert.equal(browser.cores.length, 2, "one for both");
  const [, next] = browser.cores;
  const joins = browser.calls("join", next).filter(([, after]) => after);
  assert.deepEqual(joins.filter(([room]) => room === "a")[0], ["a", "5-2", true]);
  assert.deepEqual(joins.filter(([room]) => room === "@u")[0], ["@u", "7-1", false]);
  assert.deepEqual(browser.calls("publish", next).map(([{ key, json }]) => [key, json]), [["k2", '"second"']]);
  next.emit("joined", { room: "a", resumed: true, id: "5-2" });
  next.emit("joined", { room: "plain", resumed: false });
  next.emit("message", message("a", "5-3"));
  emit("message", message("a", "5-4"));
  next.emit("answer", { ref: browser.calls("publish", next)[0][0].ref, result: { id: "5-4" } });
  assert.deepEqual(await published[1], { id: "5-4" });
  await browser.settled();
  for (const tab of [one, two]) assert.deepEqual(tab.of("message").map(({ id }) => id), ["5-2", "5-3"], "nothing of the dead");
  assert.deepEqual(one.of("missed"), [{ room: "plain", cause: "no_history" }]);
  assert.deepEqual(two.of("missed"), []);

  // Who has closed the client does not come back.
  const closed = new Promise((resolve) => two.client.on("closed", resolve));
  two.client.close();
  await closed;
  browser.forget(two.client);
  browser.crash();
  await browser.settled();
  assert.equal(browser.cores.length, 3);
  assert.deepEqual(new Set(browser.calls("join", browser.cores[2]).map(([room]) => room)), new Set(["a", "plain", "@u"]));
});

test("a message that may be older than its key is not repeated by another worker", async (context) => {
  const browser = new Browser();
  context.after(() => (browser.end(), context.mock.reset()));
  context.mock.timers.enable({ apis: ["Date"], now: 1_700_000_000_000 });
  const { client } = browser.open();
  const old = client.publish("a", 1);
  const expected = assert.rejects(old, { code: "uncertain" });
  await browser.settled();
  context.mock.timers.tick(241_000);
  browser.crash();
  await expected;
  await browser.settled();
  assert.deepEqual(browser.calls("publish", browser.cores[1]), []);
});

test("a room without tabs any more, or left while the worker died, is left", async (context) => {
  const browser = new Browser();
  context.after(() => browser.end());
  const tab = browser.open({ rooms: ["a"] });
  await browser.settled();
  // The worker is dead, and the tab does not know it yet.
  tab.client.room("a").leave();
  browser.crash();
  await browser.settled();
  assert.deepEqual(tab.of("left"), [{ room: "a" }]);
  assert.deepEqual(browser.calls("leave", browser.cores[1]), [["a"]]);
});

test("a worker that says nothing is given up", async (context) => {
  const browser = new Browser();
  context.after(() => (browser.end(), context.mock.reset()));
  context.mock.timers.enable({ apis: ["setTimeout"] });
  browser.dies();
  const tab = browser.open({ rooms: ["a"] });
  browser.crash();
  context.mock.timers.tick(9999);
  assert.equal(browser.cores.length, 0, "not yet");
  context.mock.timers.tick(1);
  await browser.settled();
  assert.deepEqual(browser.calls("join"), [["a", undefined, false]]);
  browser.cores[0].emit("joined", { room: "a", resumed: false, id: "5-1" });
  await browser.settled();
  assert.deepEqual(tab.of("joined"), [{ room: "a", resumed: false, id: "5-1" }]);
});

test("where no worker ever says anything, or none can be made, a tab has a connection of its own", async (context) => {
  context.after(() => context.mock.reset());
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const asked = [];
  context.mock.method(globalThis, "fetch", (url) => {
    asked.push(new URL(url).pathname);
    return new Promise(() => {});
  });
  const options = { rooms: ["a"], transports: ["poll"] };
  const ports = [];
  const silent = () => {
    const { port1, port2 } = new MessageChannel();
    ports.push(port1, port2);
    return port1;
  };
  context.after(() => ports.forEach((port) => port.close()));
  const clients = [connectPort(silent, "https://rt.example", options)];
  for (const count of [0, 0, 1]) {
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(asked.length, count);
    context.mock.timers.tick(10_000);
  }
  const blocked = () => {
    throw new Error("the page's policy forbids it");
  };
  clients.push(connectPort(blocked, "https://rt.example", options));
  await new Promise((resolve) => setImmediate(resolve));
  context.mock.timers.tick(1);
  assert.deepEqual(asked, ["/poll", "/poll"]);
  for (const client of clients) client.close();
});

test("answers go to whom they belong", async (context) => {
  const browser = new Browser();
  context.after(() => browser.end());
  const [one, two] = [browser.open(), browser.open()];
  const publishing = Promise.allSettled([one.client.publish("a", 1), two.client.publish("a", new Uint8Array([2]))]);
  await browser.settled();
  const items = browser.calls("publish").map(([item]) => item);
  assert.notEqual(items[0].ref, items[1].ref);
  assert.deepEqual([...items[1].bytes], [2]);
  const { emit } = browser.cores[0];
  emit("answer", { ref: items[1].ref, failure: { code: "forbidden", message: "no" } });
  emit("answer", { ref: items[0].ref, result: { id: "5-1" } });
  const [first, second] = await publishing;
  assert.deepEqual([first.value, second.reason.code], [{ id: "5-1" }, "forbidden"]);
});

test("a room is left with its last tab, the connection with the last of all", async (context) => {
  const browser = new Browser();
  context.after(() => browser.end());
  const [one, two] = [browser.open({ rooms: ["a"] }), browser.open({ rooms: ["a", "b"] })];
  await browser.settled();
  one.client.room("a").leave();
  await browser.settled();
  assert.deepEqual(browser.calls("leave"), []);
  two.die();
  assert.deepEqual(browser.calls("leave"), [["a"], ["b"]]);
  assert.deepEqual(browser.calls("close"), []);
  const closed = new Promise((resolve) => one.client.on("closed", resolve));
  one.client.close();
  assert.equal(await closed, undefined);
  assert.deepEqual(browser.calls("close"), [[]]);
  browser.forget();
  browser.open();
  await browser.settled();
  assert.equal(browser.cores.length, 2);
});

test("presence is told to a tab that comes late", async (context) => {
  const browser = new Browser();
  context.after(() => browser.end());
  const alice = { user: "alice", connections: 1 };
  browser.open().client.room("a").on("presence", () => {});
  await browser.settled();
  browser.cores[0].emit("presence", { room: "a", joined: [alice], left: [], members: [alice] });
  const late = browser.open();
  late.client.room("a").on("presence", () => {});
  await browser.settled();
  assert.deepEqual(late.of("presence").map(({ joined }) => joined), [[alice]]);
});

test("a token is asked of the tab that came last, and of the others where it has none to give", async (context) => {
  const browser = new Browser();
  context.after(() => browser.end());
  const asked = [];
  browser.open({ token: (reason) => (asked.push(`one ${reason}`), "token") });
  browser.open({ token: () => (asked.push("two"), Promise.reject(new Error("offline"))) });
  await browser.settled();
  assert.equal(await browser.cores[0].options.token("expired"), "token");
  assert.deepEqual(asked, ["two", "one expired"]);
});
