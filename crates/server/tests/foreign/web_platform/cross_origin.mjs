// Pages of other origins: with and without credentials, listed and not, straight and by redirects. The node `one` lists the origin of the
// pages, `any` lets all in, `guarded` lists it and takes tokens, also in a cookie.
import assert from "node:assert/strict";
import { pause } from "./world.mjs";

const REDIRECTS = [301, 302, 303, 307, 308];

/** How an EventSource to this address begins: with `connected`, or not at all. */
async function opens({ url, init }) {
  const stream = source(url, init);
  for (;;) {
    const { type, state, data } = await stream.next();
    if (type === "connected") return JSON.parse(data);
    if (type === "error" && state === 2) return "refused";
  }
}

/** What a page gets of a request: status and body, or nothing at all. */
async function asks({ url, init }) {
  try {
    const response = await fetch(url, init);
    return [response.status, await response.text(), response.headers.get("Retry-After")];
  } catch {
    return "refused";
  }
}

/** How a WebSocket to this address begins. */
async function handshake({ url, protocols }) {
  const both = socket(url, protocols);
  const { type } = await both.next();
  return type === "open" ? "open" : [type, (await both.next("close")).code];
}

const isOpen = (answer) => assert.ok(typeof answer === "object", String(answer));

export const crossOrigin = [
  {
    wpt: ["eventsource/eventsource-cross-origin", "eventsource/eventsource-constructor-non-same-origin"],
    must: "let a listed origin in, with credentials and without; no other",
    check: async (place) => {
      const url = `${place.origin("one")}/sse?room=${place.room}`;
      const [listed, foreign] = [await place.page(place.listed), await place.page(place.foreign)];
      for (const init of [{}, { withCredentials: true }]) {
        isOpen(await listed.evaluate(opens, { url, init }));
        assert.equal(await foreign.evaluate(opens, { url, init }), "refused");
      }
    },
  },
  {
    wpt: ["eventsource/eventsource-cross-origin", "eventsource/request-credentials"],
    must: "let any origin in where all are allowed, but never with credentials",
    check: async (place) => {
      const url = `${place.origin("any")}/sse?room=${place.room}`;
      for (const origin of [place.listed, place.foreign]) {
        const page = await place.page(origin);
        isOpen(await page.evaluate(opens, { url }));
        assert.equal(await page.evaluate(opens, { url, init: { withCredentials: true } }), "refused");
      }
    },
  },
  {
    wpt: ["eventsource/request-credentials", "websockets/cookies/001"],
    must: "know the user by the cookie that credentials bring, and not without",
    check: async (place) => {
      const page = await place.page(place.listed);
      await page.context().addCookies([{ name: "session", value: place.world.mint({ sub: "cookie" }), url: place.origin("guarded") }]);
      const url = `${place.origin("guarded")}/sse?room=${place.room}`;
      assert.equal((await page.evaluate(opens, { url, init: { withCredentials: true } })).user, "cookie");
      assert.equal(await page.evaluate(opens, { url }), "refused");
      // A WebSocket always brings them.
      const welcome = await page.evaluate(async (url) => JSON.parse((await socket(url, ["roomcast.v1"]).next("message")).data), `${place.origin("guarded")}/ws`);
      assert.equal(welcome.user, "cookie");
    },
  },
  {
    wpt: ["eventsource/request-redirect", "eventsource/eventsource-cross-origin"],
    must: "be reached through a redirect from the page's own origin, with credentials too, and be told who asks",
    check: async (place) => {
      const page = await place.page(place.listed);
      const to = encodeURIComponent(`${place.origin("one")}/sse?room=${place.room}`);
      for (const status of REDIRECTS) {
        for (const init of [{}, { withCredentials: true }]) isOpen(await page.evaluate(opens, { url: `/redirect?status=${status}&to=${to}`, init }));
      }
    },
  },
  {
    wpt: ["eventsource/request-redirect"],
    must: "take a page that was led over a third origin for none that it lists: the browser calls it `null`",
    check: async (place) => {
      const page = await place.page(place.listed);
      const through = (node) => `${place.foreign}/redirect?status=307&to=${encodeURIComponent(`${place.origin(node)}/sse?room=${place.room}`)}`;
      assert.equal(await page.evaluate(opens, { url: through("one") }), "refused");
      isOpen(await page.evaluate(opens, { url: through("any") }));
    },
  },
  {
    wpt: ["eventsource/eventsource-cross-origin-preflight"],
    must: "let a browser come back with a cursor of any length from another origin",
    check: async (place) => {
      const relay = await place.relay("one");
      const page = await place.page(place.listed);
      const rooms = Array.from({ length: 12 }, (_, n) => `${place.room}:${n}`);
      for (const room of rooms) await place.publish("before", { room });
      const url = `${relay.origin}/sse?room=${rooms.join("&room=")}`;
      const { lastEventId } = await page.evaluate((url) => (globalThis.stream = source(url)).next("connected"), url);
      // Longer than what browsers take for harmless (Fetch standard, section 2.2.2).
      assert.ok(lastEventId.length > 128, lastEventId);
      relay.cut();
      await place.publish("meanwhile", { room: rooms[7] });
      const [connected, message] = await page.evaluate(async () => [await stream.next("connected"), await stream.next("message")]);
      for (const verdict of Object.values(JSON.parse(connected.data).rooms)) assert.equal(verdict.resumed, true);
      assert.equal(message.data, "meanwhile");
      assert.match(relay.asked("/sse").at(-1).head, /\r\nLast-Event-ID: /i);
    },
  },
  {
    wpt: ["cors/preflight-cache", "cors/simple-requests"],
    must: "answer the preflight of a publish with every header that it looks at, and let the page read the answer",
    check: async (place) => {
      const page = await place.page(place.listed);
      const url = `${place.origin("one")}/rooms/${place.room}/messages?event=order`;
      const headers = {
        "Content-Type": "application/json", "Idempotency-Key": "once", Authorization: "Bearer x", "Cache-Control": "no-cache",
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", tracestate: "vendor=1",
      };
      const poll = async (more) => {
        const init = { headers: { Authorization: "Bearer x", ...more } };
        const [status, body] = await page.evaluate(asks, { url: `${place.origin("one")}/poll?room=${place.room}&wait=0`, init });
        assert.equal(status, 200);
        return JSON.parse(body);
      };
      const { cursor } = await poll();
      const answers = [];
      for (let n = 0; n < 2; n++) answers.push(await page.evaluate(asks, { url, init: { method: "POST", body: "{}", headers } }));
      assert.equal(answers[0][0], 202);
      assert.match(answers[0][1], /^\{"id":"\d+-\d+"\}$/);
      assert.deepEqual(answers[1], answers[0], "the same key");
      assert.deepEqual((await poll({ "Last-Event-ID": cursor })).messages.map(({ event }) => event), ["order"]);
    },
  },
  {
    wpt: ["cors/redirect-preflight", "cors/redirect-preflight-2"],
    must: "take what is published through 307 and 308, which keep the body, from the page's own origin",
    check: async (place) => {
      const page = await place.page(place.listed);
      const room = `${place.origin("one")}/rooms/${place.room}`;
      const to = encodeURIComponent(`${room}/messages`);
      for (const [n, status] of [307, 308].entries()) {
        const init = { method: "POST", body: JSON.stringify({ n }), headers: { "Content-Type": "application/json", "Idempotency-Key": String(n) } };
        assert.equal((await page.evaluate(asks, { url: `/redirect?status=${status}&to=${to}`, init }))[0], 202);
      }
      const history = await page.evaluate(asks, { url: `${room}/history` });
      assert.deepEqual(JSON.parse(history[1]).messages.map(({ data }) => data), [{ n: 0 }, { n: 1 }]);
    },
  },
  {
    wpt: ["cors/origin", "cors/credentials-flag"],
    must: "do nothing for a page of a foreign origin, also where the browser asks no permission first",
    check: async (place) => {
      const page = await place.page(place.foreign);
      const room = `${place.origin("one")}/rooms/${place.room}`;
      const simple = { method: "POST", body: "x" };
      for (const init of [simple, { ...simple, mode: "no-cors" }, { ...simple, credentials: "include" }, { ...simple, headers: { "Idempotency-Key": "x" } }]) {
        const answer = await page.evaluate(asks, { url: `${room}/messages`, init });
        assert.deepEqual(answer, init.mode ? [0, "", null] : "refused");
      }
      assert.equal(await page.evaluate(asks, { url: `${place.origin("one")}/poll?room=${place.room}&wait=0` }), "refused");
      const own = await place.page();
      assert.deepEqual(JSON.parse((await own.evaluate(asks, { url: `${room}/history` }))[1]).messages, []);
    },
  },
  {
    wpt: ["cors/status", "cors/response-headers"],
    must: "let a page that may be there read why it was refused, and when to come again",
    check: async (place) => {
      const page = await place.page(place.listed);
      const [status, body] = await page.evaluate(asks, { url: `${place.origin("one")}/sse?room=a%20b` });
      assert.deepEqual([status, JSON.parse(body).status], [400, 400]);
      const [unavailable, detail, retryAfter] = await page.evaluate(asks, { url: `${place.origin("brokerless")}/rooms/a/messages`, init: { method: "POST", body: "x" } });
      assert.deepEqual([unavailable, JSON.parse(detail).status, retryAfter], [503, 503, "1"]);
    },
  },
  {
    wpt: ["websockets/opening-handshake/003-sets-origin"],
    must: "look at the origin of a WebSocket, which no browser does",
    check: async (place) => {
      const cases = [[place.listed, "one", "open"], [place.foreign, "one", ["error", 1006]], [place.foreign, "any", "open"]];
      for (const [origin, node, expected] of cases) {
        const page = await place.page(origin);
        const url = `${place.origin(node)}/ws?room=${place.room}`;
        assert.deepEqual(await page.evaluate(handshake, { url, protocols: [] }), expected, `${origin} on ${node}`);
      }
    },
  },
  {
    wpt: ["websockets/opening-handshake/001"],
    must: "be spoken to directly: a redirect of a handshake leads nowhere, and to no member",
    check: async (place) => {
      const page = await place.page(place.listed);
      const to = encodeURIComponent(`${place.origin("one")}/ws?room=${place.room}`);
      const url = `${place.listed}/redirect?status=307&to=${to}`;
      assert.deepEqual(await page.evaluate(handshake, { url, protocols: [] }), ["error", 1006]);
      await pause(200);
      assert.equal(await place.connections(), 0);
    },
  },
];
