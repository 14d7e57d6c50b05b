// How a WebSocket ends: by the page, and by the gateway with each code that docs/protocol.md lists. What no browser can provoke (1002,
// 1007: frames that it would never send) is in tests/autobahn.
import assert from "node:assert/strict";
import { pause } from "./world.mjs";

const REASON_MAX = "ü".repeat(61) + "x";

/** Opens a WebSocket, sends, and gives how it ends. */
async function ends({ url, protocols, send = [], bytes = [] }) {
  const both = socket(url, protocols);
  await both.next("open");
  for (const text of send) both.target.send(text);
  for (const length of bytes) both.target.send(new Uint8Array(length));
  const { type: _, ...end } = await both.next("close");
  return end;
}

/** The page closes, with this. */
async function closes({ url, close }) {
  const both = socket(url);
  await both.next("open");
  both.target.close(...close);
  const closing = both.target.readyState;
  both.target.close(1000, "once more");
  const { state, code, reason, wasClean } = await both.next("close");
  return { closing, state, code, reason, wasClean };
}

/** Of the page; `null` stands for what is not said. */
const BY_PAGE = [
  [["websockets/Close-1000"], [1000], [1000, ""]],
  [["websockets/Close-1000-reason"], [1000, "Clean Close"], [1000, "Clean Close"]],
  [["websockets/Close-undefined", "websockets/Secure-Close-1005-verify-code"], [], [1005, ""]],
  [["websockets/Secure-Close-3000-verify-code"], [3000, "done"], [3000, "done"]],
  [["websockets/Secure-Close-4999-reason"], [4999, "my reason"], [4999, "my reason"]],
  [["websockets/Close-Reason-124Bytes", "websockets/interfaces/CloseEvent/clean-close"], [1000, REASON_MAX], [1000, REASON_MAX]],
  [["websockets/Close-reason-unpaired-surrogates"], [1000, "\ud807"], [1000, "\ufffd"]],
];

const byPage = BY_PAGE.map(([wpt, close, [code, reason]]) => ({
  wpt: [...wpt, "websockets/interfaces/WebSocket/close/close-multiple"],
  must: `answer the page's close with its own code and reason (${close[0] ?? "none"})`,
  code: code === 1000 ? code : undefined,
  check: async (place) => {
    const page = await place.page();
    const end = await page.evaluate(closes, { url: `/ws?room=${place.room}`, close });
    assert.deepEqual(end, { closing: 2, state: 3, code, reason, wasClean: true });
    await place.untilConnections(0);
  },
}));

/** Of the gateway: code, reason, and what provokes it. `open` gives node, path and more; `act` what happens once it is open. */
const BY_GATEWAY = [
  [1003, /JSON mode/, "a binary frame in JSON mode", () => ({ url: "/ws", protocols: ["roomcast.v1"], bytes: [1] })],
  [1009, /larger/, "a message that is too large", ({ room }) => ({ url: `/ws?room=${room}`, bytes: [65_537] })],
  [4001, /room required/, "raw mode without a room", () => ({ url: "/ws" })],
  [4401, /./, "no token where one is needed", ({ room }) => ({ node: "guarded", url: `/ws?room=${room}` })],
  [4401, /./, "a token that is none", ({ room }) => ({ node: "guarded", url: `/ws?room=${room}&token=x.y.z` })],
  [4401, /expired/, "a token that ends", (place) => guarded(place, {}, { seconds: 2 })],
  [4403, /./, "the personal room of somebody else", () => ({ url: "/ws?room=@alice" })],
  [4403, /./, "a room that the token does not grant", (place) => guarded(place, { rooms: { subscribe: ["other"] } })],
  [4403, /./, "publishing where the token grants listening", (place) => guarded(place, { rooms: { subscribe: ["*"] } }, { send: ["x"] })],
  [4403, /./, "publishing where backends do", (place) => guarded(place, {}, { room: "backend:a", send: ["x"] })],
  [4429, /too many messages/, "a flood in raw mode", (place) => guarded(place, {}, { send: Array(100).fill("x") })],
];

function guarded({ room: own, world }, claims, { seconds, room = own, ...rest } = {}) {
  const token = world.mint({ sub: own, ...claims }, seconds);
  return { node: "guarded", url: `/ws?room=${room}&token=${token}`, ...rest };
}

const byGateway = BY_GATEWAY.map(([code, reason, what, open]) => ({
  wpt: ["websockets/Secure-Close-server-initiated-close"],
  must: `close with ${code}: ${what}`,
  code,
  check: async (place) => {
    const page = await place.page(place.origin(open(place).node ?? "one"));
    // Tokens are made when the page is there.
    isClean(await page.evaluate(ends, open(place)), code, reason);
  },
}));

function isClean(end, code, reason) {
  assert.deepEqual([end.state, end.code, end.wasClean], [3, code, true], JSON.stringify(end));
  assert.match(end.reason, reason);
}

/** Opens, and leaves the end for later. */
async function stays(page, url, protocols) {
  await page.evaluate(async ([url, protocols]) => {
    globalThis.both = socket(url, protocols);
    await both.next("open");
  }, [url, protocols]);
}

const end = (page) => page.evaluate(() => both.next("close"));

export const closing = [
  ...byPage,
  ...byGateway,
  {
    wpt: ["websockets/interfaces/WebSocket/close/close-connecting"],
    must: "keep nothing of a handshake that the page gives up",
    check: async (place) => {
      const page = await place.page();
      const end = await page.evaluate(async (room) => {
        const both = socket(`/ws?room=${room}`);
        both.target.close();
        return [both.target.readyState, (await both.next("close")).code];
      }, place.room);
      assert.deepEqual(end, [2, 1006]);
      await place.untilConnections(0);
    },
  },
  {
    wpt: ["websockets/Secure-Close-server-initiated-close"],
    must: "close with 1012 when it drains, with the time to stay away, after `goodbye` in JSON mode",
    code: 1012,
    check: async (place) => {
      const [raw, json] = [await place.page(place.origin("leaving")), await place.page(place.origin("leaving"))];
      await stays(raw, `/ws?room=${place.room}`);
      await stays(json, "/ws", ["roomcast.v1"]);
      await place.has("term", "leaving");
      isClean(await end(raw), 1012, /^reconnect_ms=\d+$/);
      const lines = await json.evaluate(() => both.all("close"));
      assert.equal(JSON.parse(lines.at(-2).data).type, "goodbye");
      isClean(lines.at(-1), 1012, /^reconnect_ms=\d+$/);
    },
  },
  {
    wpt: ["websockets/Secure-Close-server-initiated-close"],
    must: "close with 1001 when it stops at once",
    code: 1001,
    check: async (place) => {
      const page = await place.page(place.origin("stopped"));
      await stays(page, `/ws?room=${place.room}`);
      // It drains for an hour, unless it is told again.
      await place.has("term", "stopped");
      await place.has("term", "stopped");
      isClean(await end(page), 1001, /./);
    },
  },
  {
    wpt: ["websockets/Secure-Close-server-initiated-close"],
    must: "close with 1008 when nothing comes any more, not even pongs",
    code: 1008,
    check: async (place) => {
      const relay = await place.relay("patient");
      const page = await place.page(relay.origin);
      await stays(page, `/ws?room=${place.room}`);
      relay.isDeaf = true;
      const { code, reason } = await end(page);
      assert.deepEqual([code, reason], [1008, "no sign of life for two heartbeats"]);
    },
  },
  {
    wpt: ["websockets/Secure-Close-server-initiated-close"],
    must: "close with 4408 who reads too slowly, and say so behind what was on its way",
    code: 4408,
    check: async (place) => {
      const relay = await place.relay("narrow");
      const page = await place.page(relay.origin);
      await stays(page, `/ws?room=${place.room}`);
      relay.slow(4000);
      let isOver = false;
      const ended = page.evaluate(() => both.all("close")).finally(() => (isOver = true));
      const body = "x".repeat(65_536);
      let published = 0;
      for (; !isOver && published < 4000; published++) await place.publish(body, { node: "narrow" });
      const lines = await ended;
      assert.deepEqual([lines.at(-1).code, lines.at(-1).reason], [4408, "slow consumer: reconnect and resume"]);
      const heard = lines.slice(0, -1);
      assert.ok(heard.length < published && heard.every(({ data }) => data === body), `${heard.length} of ${published}`);
    },
  },
  {
    wpt: ["websockets/Secure-Close-server-initiated-close"],
    must: "close with 4410 whom an operator disconnects",
    code: 4410,
    check: async (place) => {
      const page = await place.page(place.origin("guarded"));
      const { url } = guarded(place, {});
      await stays(page, url);
      await fetch(`http://127.0.0.1:${place.world.nodes.guarded.admin}/api/disconnect`, { method: "POST", body: JSON.stringify({ user: place.room }) });
      isClean(await end(page), 4410, /./);
    },
  },
  {
    wpt: ["websockets/Secure-Close-server-initiated-close"],
    must: "close with 4403 whom a backend takes out of the room of raw mode",
    code: 4403,
    check: async (place) => {
      const page = await place.page(place.origin("guarded"));
      const { url } = guarded(place, {});
      await stays(page, url);
      await place.world.redis.publish("roomcast:control", JSON.stringify({ unsubscribe: { user: place.room, room: place.room } }));
      isClean(await end(page), 4403, /unsubscribed/);
    },
  },
  {
    wpt: ["websockets/Secure-Close-server-initiated-close"],
    must: "close with 4429 the connection that is one too many for its user, and keep the others",
    code: 4429,
    check: async (place) => {
      const { url } = guarded(place, {});
      const pages = [];
      for (let n = 0; n < 2; n++) {
        pages.push(await place.page(place.origin("guarded")));
        await stays(pages[n], url);
      }
      const third = await place.page(place.origin("guarded"));
      isClean(await third.evaluate(ends, { url }), 4429, /./);
      await pause(200);
      for (const page of pages) assert.deepEqual(await page.evaluate(() => [both.target.readyState, both.kept]), [1, []]);
    },
  },
  {
    wpt: ["websockets/interfaces/WebSocket/readyState/008"],
    must: "leave a page that finds its node killed with an error and 1006",
    check: async (place) => {
      const relay = await place.relay("one");
      const page = await place.page(relay.origin);
      await stays(page, `/ws?room=${place.room}`);
      relay.cut();
      const { code, wasClean, state } = await end(page);
      assert.deepEqual([code, wasClean, state], [1006, false, 3]);
      await place.untilConnections(0);
    },
  },
];
