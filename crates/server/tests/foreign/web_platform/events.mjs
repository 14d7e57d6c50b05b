// EventSource: how a stream begins, is read, ends and comes back.
import assert from "node:assert/strict";
import { pause } from "./world.mjs";

/** Opens a stream of these rooms and gives its first events, without what only tells where it is. */
async function begin({ url, init }) {
  const stream = source(url, init);
  const states = [stream.target.readyState];
  const lines = await stream.all("connected");
  return { states, types: lines.map(({ type, state }) => [type, state]), origin: lines.at(-1).origin, url: stream.target.url };
}

/** What a stream that is refused tells; nothing comes after it. */
async function refused(url) {
  const stream = source(url);
  const lines = [await stream.next()];
  await new Promise((resolve) => setTimeout(resolve, 300));
  return [...lines, ...stream.kept].map(({ type, state }) => [type, state]);
}

const GIVES_UP = [["error", 2]];

export const events = [
  {
    wpt: ["eventsource/eventsource-onopen", "eventsource/eventsource-url"],
    must: "open at once, without waiting for a message; the first event is `connected`",
    check: async (place) => {
      const page = await place.page();
      const { states, types, origin, url } = await page.evaluate(begin, { url: `/sse?room=${place.room}` });
      assert.deepEqual([states, types], [[0], [["open", 1], ["connected", 1]]]);
      assert.deepEqual([origin, url], [place.origin("one"), `${place.origin("one")}/sse?room=${place.room}`]);
    },
  },
  {
    wpt: ["eventsource/format-mime-valid-bogus", "eventsource/format-mime-trailing-semicolon", "eventsource/request-cache-control"],
    must: "be `text/event-stream`, never cached, so that two streams of one address are two",
    check: async (place) => {
      const page = await place.page();
      const [headers, both] = await page.evaluate(async (url) => {
        const { headers } = await fetch(url);
        const streams = [source(url), source(url)];
        for (const stream of streams) await stream.next("connected");
        return [Object.fromEntries(headers), streams.length];
      }, `/sse?room=${place.room}`);
      assert.equal(headers["content-type"], "text/event-stream");
      assert.equal(headers["cache-control"], "no-cache, no-transform");
      assert.equal(headers["x-accel-buffering"], "no");
      assert.equal(both, 2);
      await place.untilConnections(3);
    },
  },
  {
    wpt: ["eventsource/request-accept"],
    must: "give a stream to who accepts `text/event-stream` only",
    check: async (place) => {
      const relay = await place.relay("one");
      const page = await place.page(relay.origin);
      await page.evaluate(begin, { url: `/sse?room=${place.room}` });
      assert.match(relay.asked("/sse")[0].head, /\r\nAccept: text\/event-stream\r\n/i);
    },
  },
  {
    wpt: ["eventsource/format-field-event"],
    must: "name an event only where it is not `message`; a named one comes to its listeners and nobody else",
    check: async (place) => {
      const page = await place.page();
      const types = await page.evaluate(async (room) => {
        const stream = source(`/sse?room=${room}`, { names: ["order", "größe 🎈", "a:b", " x", "x;base64", "\"'<>&"] });
        await stream.next("connected");
        const types = [];
        for (const name of ["order", "", "größe 🎈", "a:b", " x", "\"'<>&", "message"]) {
          await post(`/rooms/${room}/messages?${new URLSearchParams({ event: name })}`, name);
          const { type, data } = await stream.next();
          types.push([type, data]);
        }
        return types;
      }, place.room);
      const names = ["order", "", "größe 🎈", "a:b", " x", "\"'<>&", "message"];
      assert.deepEqual(types, names.map((name) => [name || "message", name]));
    },
  },
  {
    wpt: ["eventsource/format-field-event-empty"],
    must: "take an empty name for none, and refuse names that no field can carry or that are the gateway's own",
    check: async (place) => {
      const page = await place.page();
      const statuses = await page.evaluate(async (room) => {
        const names = ["", "a\nb", "a\rb", "a\0b", "\u0085", "connected", "reset", "dropped", "unsubscribed", "goodbye", "e".repeat(101)];
        const statuses = [];
        for (const event of names) {
          const { status } = await fetch(`/rooms/${room}/messages?${new URLSearchParams({ event })}`, { method: "POST", body: "x" });
          statuses.push(status);
        }
        return statuses;
      }, place.room);
      assert.deepEqual(statuses, [202, ...Array(10).fill(400)]);
    },
  },
  {
    wpt: ["eventsource/eventsource-onmessage", "eventsource/eventsource-onmessage-trusted"],
    must: "give bytes as base64, under a name that says so",
    check: async (place) => {
      const page = await place.page();
      const lines = await page.evaluate(async (room) => {
        const stream = source(`/sse?room=${room}`, { names: ["message;base64", "order;base64"] });
        await stream.next("connected");
        await post(`/rooms/${room}/messages`, new Uint8Array([0, 255, 10]));
        await post(`/rooms/${room}/messages?event=order`, new Uint8Array([255]));
        return [await stream.next(), await stream.next()];
      }, place.room);
      assert.deepEqual(lines.map(({ type, data }) => [type, data]), [["message;base64", "AP8K"], ["order;base64", "/w=="]]);
    },
  },
  {
    wpt: ["eventsource/format-field-id", "eventsource/format-field-id-2"],
    must: "send with each message of a room with history a cursor, which the browser keeps where a message has none",
    check: async (place) => {
      const page = await place.page();
      const [ids, lines] = await page.evaluate(async (room) => {
        const stream = source(`/sse?room=${room}&room=plain:${room}`);
        const { lastEventId } = await stream.next("connected");
        await post(`/rooms/${room}/messages`, "1");
        await post(`/rooms/plain:${room}/messages`, "2");
        await post(`/rooms/${room}/messages`, "3");
        const lines = [await stream.next("message"), await stream.next("message"), await stream.next("message")];
        return [[lastEventId, ...lines.map((line) => line.lastEventId)], lines.map(({ data }) => data)];
      }, place.room);
      assert.deepEqual(lines, ["1", "2", "3"]);
      const [begin, first, plain, third] = ids;
      assert.ok(begin && first !== begin && third !== first, ids.join());
      assert.equal(plain, first);
    },
  },
  {
    wpt: ["eventsource/format-field-id-null", "eventsource/format-field-id-3"],
    must: "never send a cursor with NUL, nor one that a payload has made up, so that what goes back is what it has sent",
    check: async (place) => {
      const relay = await place.relay("one");
      const page = await place.page(relay.origin);
      const id = await page.evaluate(async (room) => {
        globalThis.stream = source(`/sse?room=${room}`);
        await stream.next("connected");
        await post(`/rooms/${room}/messages`, "x\nid: y\0\nid\nid: 1-99\n\nid: z");
        return (await stream.next("message")).lastEventId;
      }, place.room);
      assert.match(id, /^[\w.-]+$/);
      relay.cut();
      await page.evaluate(() => stream.next("connected"));
      assert.match(relay.asked("/sse").at(-1).head, new RegExp(`\\r\\nLast-Event-ID: ${id}\\r\\n`, "i"));
    },
  },
  {
    wpt: ["eventsource/format-data-before-final-empty-line"],
    must: "end every event with an empty line: what was cut in the middle is not a message, and comes whole later, once",
    check: async (place) => {
      const relay = await place.relay("one");
      const page = await place.page(relay.origin);
      await page.evaluate(async (room) => {
        globalThis.stream = source(`/sse?room=${room}`);
        await stream.next("connected");
      }, place.room);
      relay.bend = (bytes) => {
        const middle = bytes.indexOf("middle");
        if (middle < 0) return [bytes];
        relay.bend = (rest) => [rest];
        // The browser has taken the first half when the second should come.
        setTimeout(() => relay.cut(), 200);
        return [bytes.subarray(0, middle)];
      };
      await place.publish("begin middle end");
      await place.publish("next");
      const lines = await page.evaluate(async () => [await stream.next("message"), await stream.next("message")]);
      assert.deepEqual(lines.map(({ data }) => data), ["begin middle end", "next"]);
      assert.equal(relay.asked("/sse").length, 2);
    },
  },
  {
    wpt: ["eventsource/format-utf-8"],
    must: "be UTF-8, however the bytes are cut on their way",
    check: async (place) => {
      const relay = await place.relay("one");
      relay.bend = (bytes) => Array.from(bytes, (byte) => Buffer.of(byte));
      const page = await place.page(relay.origin);
      const heard = await page.evaluate(async (room) => {
        const stream = source(`/sse?room=${room}`);
        await stream.next("connected");
        await post(`/rooms/${room}/messages`, "ok… größe\r\n🎈\u2028");
        return (await stream.next("message")).data;
      }, place.room);
      assert.equal(heard, "ok… größe\n🎈\u2028");
    },
  },
  {
    wpt: ["eventsource/format-field-retry", "eventsource/format-field-retry-bogus", "eventsource/format-field-retry-empty"],
    must: "say how long to wait before coming back, which no payload can change",
    check: async (place) => {
      // Four seconds; the browser's own are three.
      const relay = await place.relay("patient");
      const page = await place.page(relay.origin);
      await page.evaluate(async (room) => {
        globalThis.stream = source(`/sse?room=${room}`);
        await stream.next("connected");
        await post(`/rooms/${room}/messages`, "x\nretry: 1\n\nretry: 1");
        await stream.next("message");
      }, place.room);
      relay.cut();
      const { cutAt } = relay;
      await page.evaluate(() => stream.next("connected"));
      const waited = relay.asked("/sse").at(-1).at - cutAt;
      assert.ok(waited >= 3990, `${waited} ms`);
    },
  },
  {
    wpt: ["eventsource/format-comments"],
    must: "send comments as signs of life, which no listener hears",
    check: async (place) => {
      // Its heartbeat is a second.
      const relay = await place.relay("patient");
      let pings = 0;
      relay.bend = (bytes) => {
        pings += bytes.toString().split(": ping\n").length - 1;
        return [bytes];
      };
      const page = await place.page(relay.origin);
      await page.evaluate(async (room) => {
        globalThis.stream = source(`/sse?room=${room}`);
        await stream.next("connected");
      }, place.room);
      while (pings < 2) await pause(50);
      assert.deepEqual(await page.evaluate(() => [stream.kept, stream.target.readyState]), [[], 1]);
    },
  },
  {
    wpt: ["eventsource/eventsource-close"],
    must: "know that a stream was closed, and not be asked again",
    check: async (place) => {
      const relay = await place.relay("one");
      const page = await place.page(relay.origin);
      const state = await page.evaluate(async (room) => {
        globalThis.stream = source(`/sse?room=${room}`);
        await stream.next("connected");
        stream.target.close();
        return stream.target.readyState;
      }, place.room);
      assert.equal(state, 2);
      await place.untilConnections(0);
      await pause(300);
      assert.deepEqual([relay.asked("/sse").length, await page.evaluate(() => stream.kept)], [1, []]);
    },
  },
  {
    wpt: ["eventsource/eventsource-request-cancellation"],
    must: "keep nothing of a stream that was given up before it was answered",
    check: async (place) => {
      const page = await place.page();
      await page.evaluate(async (room) => {
        for (let n = 0; n < 20; n++) {
          const { target } = source(`/sse?room=${room}`);
          await new Promise((resolve) => setTimeout(resolve, n % 4));
          target.close();
        }
      }, place.room);
      await place.untilConnections(0);
      await page.evaluate(begin, { url: `/sse?room=${place.room}` });
      await place.untilConnections(1);
    },
  },
  {
    wpt: ["eventsource/eventsource-reconnect"],
    must: "when a node is killed: be found again elsewhere, by itself, with everything that was published meanwhile, once",
    check: async (place) => {
      const relay = await place.relay("killed");
      const page = await place.page(relay.origin);
      const [first, state] = await page.evaluate(async (room) => {
        globalThis.stream = source(`/sse?room=${room}`);
        await stream.next("connected");
        await post(`/rooms/${room}/messages`, "0");
        return [await stream.next("message"), stream.target.readyState];
      }, place.room);
      assert.equal(state, 1);
      relay.target = place.world.nodes.one.port;
      await place.has("kill", "killed");
      for (const body of ["1", "2"]) await place.publish(body);
      const lines = await page.evaluate(async (room) => {
        const lines = await stream.all("connected");
        lines.push(await stream.next(), await stream.next());
        await post(`/rooms/${room}/messages`, "3");
        return [...lines, await stream.next()];
      }, place.room);
      assert.deepEqual(lines.map(({ type, state }) => [type, state]), [["error", 0], ["open", 1], ["connected", 1], ...Array(3).fill(["message", 1])]);
      assert.deepEqual(JSON.parse(lines[2].data).rooms[place.room], { resumed: true, missed: false });
      assert.deepEqual(lines.slice(3).map(({ data }) => data), ["1", "2", "3"]);
      assert.match(relay.asked("/sse").at(-1).head, new RegExp(`\\r\\nLast-Event-ID: ${first.lastEventId}\\r\\n`, "i"));
    },
  },
  {
    wpt: ["eventsource/eventsource-reconnect"],
    must: "when a node drains: say goodbye and end the stream well; the browser goes on elsewhere and misses nothing",
    check: async (place) => {
      const relay = await place.relay("drained");
      const page = await place.page(relay.origin);
      await page.evaluate(async (room) => {
        globalThis.stream = source(`/sse?room=${room}`);
        await stream.next("connected");
      }, place.room);
      relay.target = place.world.nodes.one.port;
      await place.has("term", "drained");
      const goodbye = await page.evaluate(() => stream.next());
      assert.deepEqual([goodbye.type, goodbye.state, JSON.parse(goodbye.data).reason], ["goodbye", 1, "drain"]);
      await place.publish("meanwhile");
      const lines = await page.evaluate(() => stream.all("message"));
      assert.deepEqual(lines.map(({ type }) => type), ["error", "open", "connected", "message"]);
      assert.equal(lines.at(-1).data, "meanwhile");
    },
  },
  {
    wpt: ["eventsource/request-status-error"],
    must: "answer what is wrong with a status that makes the browser give up: 400, 401, 403, 404, 414 and 503 alike",
    check: async (place) => {
      const page = await place.page();
      for (const url of ["/sse", "/sse?room=a%20b", "/sse?room=@alice", "/nothing", `/sse?room=a&${"x".repeat(9000)}`]) {
        assert.deepEqual(await page.evaluate(refused, url), GIVES_UP, url);
      }
      const guarded = await place.page(place.origin("guarded"));
      for (const url of ["/sse?room=a", "/sse?room=a&token=x"]) assert.deepEqual(await guarded.evaluate(refused, url), GIVES_UP, url);
      const brokerless = await place.page(place.origin("brokerless"));
      assert.deepEqual(await brokerless.evaluate(refused, "/sse?room=a"), GIVES_UP);
    },
  },
  {
    wpt: ["eventsource/request-status-error"],
    must: "be left alone for good once something in front of it has answered 204, or another status than 200",
    check: async (place) => {
      const page = await place.page(place.listed);
      for (const status of [204, 205, 210, 299, 404, 410, 503]) {
        assert.deepEqual(await page.evaluate(refused, `/status?status=${status}`), GIVES_UP, status);
      }
      // As an operator would: the stream is cut, and what comes back is answered so.
      const relay = await place.relay("one");
      const other = await place.page(relay.origin);
      await other.evaluate(begin, { url: `/sse?room=${place.room}` });
      relay.bend = () => ["HTTP/1.1 204 No Content\r\n\r\n", "cut"];
      relay.cut();
      while (relay.asked("/sse").length < 2) await pause(20);
      await pause(500);
      assert.equal(relay.asked("/sse").length, 2);
      await place.untilConnections(0);
    },
  },
  {
    wpt: ["eventsource/request-post-to-connect"],
    must: "be asked with GET only",
    check: async (place) => {
      const page = await place.page();
      const [status, allow] = await page.evaluate(async (room) => {
        const response = await fetch(`/sse?room=${room}`, { method: "POST" });
        return [response.status, response.headers.get("Allow")];
      }, place.room);
      assert.deepEqual([status, allow], [405, "GET"]);
    },
  },
];
