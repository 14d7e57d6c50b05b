import assert from "node:assert/strict";
import { test } from "node:test";
import { connectPort } from "../dist/shared.js";
import { serve } from "../dist/worker.js";

/** A worker whose cores only note what they are asked for, and tabs that can be ended. */
class Browser {
  cores = [];
  #ports = [];
  #tabs = [];
  #gone = [];
  #accept = serve(
    (url, options, emit) => {
      const core = { url, options, emit, asked: [] };
      this.cores.push(core);
      const note = (name, ...values) => {
        if (name === "get") emit("answer", { ref: values[0] });
        else core.asked.push([name, ...values]);
      };
      return new Proxy({}, { get: (_, name) => (...values) => note(name, ...values) });
    },
    (_lock, run) => this.#gone.push(run),
  );

  open(options = {}, url = "https://rt.example") {
    const { port1, port2 } = new MessageChannel();
    this.#ports.push(port1, port2);
    this.#accept(port2);
    const client = connectPort(port1, url, options);
    const told = [];
    for (const name of ["status", "message", "missed", "joined", "left", "presence", "closed"]) client.on(name, (value) => told.push([name, value]));
    const die = () => port2.onmessage({ data: { call: ["close"] } });
    this.#tabs.push(client);
    return { client, told, die, of: (name) => told.filter(([other]) => other === name).map(([, value]) => value) };
  }

  calls(name, core = this.cores[0]) {
    return core.asked.filter(([other]) => other === name).map(([, ...values]) => values);
  }

  /** All that tabs and worker have said to each other until now has come: ports keep the order. */
  async settled() {
    const open = this.#tabs.filter(({ status }) => status.state !== "closed");
    await Promise.all(open.map((client) => client.ask((ref) => client.port.get(ref, "/"))));
  }

  /** The tabs until now are closed. */
  forget() {
    this.#tabs = [];
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
  const later = browser.open({ rooms: [{ room: "b", after: "9-0" }] });
  await browser.settled();
  assert.deepEqual(later.of("missed"), [{ room: "b", cause: "missed" }]);

  const other = browser.open({}, "https://other.example");
  await browser.settled();
  assert.equal(browser.cores.length, 2, "another gateway");
  assert.equal(other.client.status.state, "connecting");
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
