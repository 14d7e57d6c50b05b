// WebSocket: the handshake, and what is sent and comes.
import assert from "node:assert/strict";

/** What opens, or does not. */
async function handshake({ url, protocols }) {
  const both = socket(url, protocols);
  const { target } = both;
  const states = [target.readyState];
  const { type, state } = await both.next();
  if (type === "open") return { type, states: [...states, state], protocol: target.protocol, extensions: target.extensions };
  const { code, wasClean } = await both.next("close");
  return { type, states: [...states, state], code, wasClean };
}

const FAILS = { type: "error", states: [0, 3], code: 1006, wasClean: false };
const opensWith = (protocol, extensions = "") => ({ type: "open", states: [0, 1], protocol, extensions });

/** Sends texts to a room of raw mode; gives what comes back. */
async function echo({ room, texts }) {
  const both = socket(`/ws?room=${room}&echo=true`);
  await both.next("open");
  for (const text of texts) both.target.send(text);
  const heard = [];
  for (const _ of texts) heard.push((await both.next("message")).data);
  return heard;
}

/** Sends bytes of a kind; gives what comes back, in base64, and its class. */
async function echoBytes({ room, make, binaryType }) {
  const both = socket(`/ws?room=${room}&echo=true`, [], binaryType);
  await both.next("open");
  both.target.send((0, eval)(`(${make})`)());
  const { data } = await both.next("message");
  return [data.constructor.name, base64(data instanceof Blob ? await data.arrayBuffer() : data)];
}

const BYTES = Uint8Array.from({ length: 300 }, (_, n) => n % 256);
/** What is sent, and what of it: texts of functions that run in the page. */
const KINDS = [
  ["websockets/Send-binary-arraybuffer", () => Uint8Array.from({ length: 300 }, (_, n) => n % 256).buffer, BYTES],
  ["websockets/Send-binary-blob", () => new Blob([Uint8Array.from({ length: 300 }, (_, n) => n % 256)]), BYTES],
  ["websockets/Send-binary-arraybufferview-int8", () => Int8Array.from({ length: 300 }, (_, n) => n % 256), BYTES],
  ["websockets/Send-binary-arraybufferview-int16-offset", () => new Int16Array(Uint8Array.from({ length: 300 }, (_, n) => n % 256).buffer, 2), BYTES.slice(2)],
  ["websockets/Send-binary-arraybufferview-uint8-offset-length", () => new Uint8Array(Uint8Array.from({ length: 300 }, (_, n) => n % 256).buffer, 3, 7), BYTES.slice(3, 10)],
  ["websockets/Send-binary-arraybufferview-float64", () => new Float64Array([1, -0.5]), new Uint8Array(new Float64Array([1, -0.5]).buffer)],
  ["websockets/Send-binary-65K-arraybuffer", () => new Uint8Array(65_536).fill(7).buffer, new Uint8Array(65_536).fill(7)],
];

export const sockets = [
  {
    wpt: ["websockets/Create-valid-url", "websockets/opening-handshake/002", "websockets/constructor/010", "websockets/Create-valid-url-protocol-empty"],
    must: "open without a subprotocol where none is asked for, and name none: raw mode",
    check: async (place) => {
      const page = await place.page();
      assert.deepEqual(await page.evaluate(handshake, { url: `/ws?room=${place.room}`, protocols: [] }), opensWith(""));
    },
  },
  {
    wpt: ["websockets/Create-valid-url-protocol", "websockets/Create-valid-url-array-protocols", "websockets/constructor/009"],
    must: "agree on `roomcast.v1`, alone or among others, at any place",
    check: async (place) => {
      const page = await place.page();
      for (const protocols of [["roomcast.v1"], ["chat", "roomcast.v1"], ["roomcast.v1", "chat"]]) {
        assert.deepEqual(await page.evaluate(handshake, { url: "/ws", protocols }), opensWith("roomcast.v1"), protocols.join());
      }
    },
  },
  {
    wpt: ["websockets/Create-protocols-repeated-case-insensitive", "websockets/constructor/012"],
    must: "refuse who asks for other subprotocols only, also for its own in capitals",
    check: async (place) => {
      const page = await place.page();
      for (const protocols of [["chat"], ["chat", "superchat"], ["ROOMCAST.V1"], ["roomcast.v2"]]) {
        assert.deepEqual(await page.evaluate(handshake, { url: `/ws?room=${place.room}`, protocols }), FAILS, protocols.join());
      }
    },
  },
  {
    wpt: ["websockets/Create-extensions-empty", "websockets/interfaces/WebSocket/extensions/001"],
    must: "agree on compression where it is turned on, and on nothing where it is not",
    check: async (place) => {
      for (const [node, extensions] of [["one", ""], ["guarded", "permessage-deflate; server_no_context_takeover; client_no_context_takeover"]]) {
        const page = await place.page(place.origin(node));
        assert.equal((await page.evaluate(handshake, { url: `/ws?room=${place.room}`, protocols: ["roomcast.v1"] })).extensions, extensions);
      }
    },
  },
  {
    wpt: ["websockets/Create-url-with-space", "websockets/opening-handshake/001"],
    must: "refuse a handshake for no room that can be: an error, then 1006",
    check: async (place) => {
      const page = await place.page();
      for (const url of ["/ws?room=a b", "/ws?room=a&room=b", "/nothing", `/ws?room=${"x".repeat(201)}`]) {
        assert.deepEqual(await page.evaluate(handshake, { url, protocols: [] }), FAILS, url);
      }
    },
  },
  {
    wpt: ["websockets/Send-data", "websockets/Send-0byte-data", "websockets/Send-null", "websockets/Send-unicode-data", "websockets/Send-paired-surrogates"],
    must: "give text back as it was sent, in the order in which it was sent",
    check: async (place) => {
      const page = await place.page();
      const texts = ["Message to send", "", "null", "¥¥¥¥¥¥", "\u{10400}", "\ufeffx", "a\r\nb\0", ...Array.from({ length: 100 }, (_, n) => `${n}`)];
      assert.deepEqual(await page.evaluate(echo, { room: place.room, texts }), texts);
    },
  },
  {
    wpt: ["websockets/Send-Unpaired-Surrogates"],
    must: "have U+FFFD for half a character in raw mode, and keep it in JSON, where it is written as an escape",
    check: async (place) => {
      const page = await place.page();
      assert.deepEqual(await page.evaluate(echo, { room: place.room, texts: ["\ud807"] }), ["\ufffd"]);
      const heard = await page.evaluate(async (room) => {
        const both = await jsonSocket(`/ws?room=${room}`);
        const streams = [source(`/sse?room=${room}`), source(`/sse?room=${room}&format=json`)];
        for (const stream of streams) await stream.next("connected");
        both.send({ type: "publish", room, data: "\ud807" });
        const { data } = await both.next("message");
        const [verbatim, object] = [await streams[0].next("message"), await streams[1].next("message")];
        both.send({ type: "publish", room, data: 1, event: "\ud807" });
        return [data, JSON.parse(verbatim.data), JSON.parse(object.data).data, (await both.next("error")).code];
      }, place.room);
      assert.deepEqual(heard, ["\ud807", "\ud807", "\ud807", "bad_request"]);
    },
  },
  {
    wpt: ["websockets/extended-payload-length", "websockets/Send-65K-data"],
    must: "take and give texts of every length that a frame can say, up to 64 KiB",
    check: async (place) => {
      const page = await place.page();
      const lengths = [125, 126, 127, 65_534, 65_535, 65_536];
      const heard = await page.evaluate(echo, { room: place.room, texts: lengths.map((length) => "a".repeat(length)) });
      assert.deepEqual(heard.map(({ length }) => length), lengths);
    },
  },
  ...KINDS.map(([wpt, make, expected]) => ({
    wpt: [wpt],
    must: "give bytes back as they were sent, whatever held them, as a Blob or an ArrayBuffer",
    check: async (place) => {
      const page = await place.page();
      for (const [binaryType, name] of [["blob", "Blob"], ["arraybuffer", "ArrayBuffer"]]) {
        const heard = await page.evaluate(echoBytes, { room: place.room, make: String(make), binaryType });
        assert.deepEqual(heard, [name, Buffer.from(expected).toString("base64")]);
      }
    },
  })),
  {
    wpt: ["websockets/Create-Secure-valid-url-binaryType-blob"],
    must: "keep text and bytes apart in one conversation, and not send them back to who sent them unless asked to",
    check: async (place) => {
      const page = await place.page();
      const heard = await page.evaluate(async (room) => {
        const [sender, other] = [socket(`/ws?room=${room}`), socket(`/ws?room=${room}`)];
        await Promise.all([sender.next("open"), other.next("open")]);
        const sent = ["a", new Uint8Array([97]), "", new Uint8Array([]), "b"];
        for (const one of sent) sender.target.send(one);
        const heard = [];
        for (const _ of sent) heard.push((await other.next("message")).data);
        return [heard.map((data) => (typeof data === "string" ? data : data.size)), sender.kept.length];
      }, place.room);
      assert.deepEqual(heard, [["a", 1, "", 0, "b"], 0]);
    },
  },
  {
    wpt: ["websockets/interfaces/WebSocket/bufferedAmount/bufferedAmount-large", "websockets/interfaces/WebSocket/bufferedAmount/bufferedAmount-unicode"],
    must: "read what a page sends at once, so that nothing stays buffered, and all of it comes",
    check: async (place) => {
      const page = await place.page();
      const [buffered, left, heard] = await page.evaluate(async (room) => {
        const both = socket(`/ws?room=${room}&echo=true`);
        await both.next("open");
        const text = "é".repeat(30_000);
        for (let n = 0; n < 50; n++) both.target.send(text);
        const buffered = both.target.bufferedAmount;
        let heard = 0;
        for (let n = 0; n < 50; n++) heard += (await both.next("message")).data.length;
        return [buffered, both.target.bufferedAmount, heard];
      }, place.room);
      assert.deepEqual([buffered, left, heard], [3_000_000, 0, 1_500_000]);
    },
  },
  {
    wpt: ["websockets/Send-before-open"],
    must: "make its client a member before it opens: what is published then is heard",
    check: async (place) => {
      const page = await place.page();
      const first = await page.evaluate(async (room) => {
        const both = socket(`/ws?room=${room}`);
        try {
          both.target.send("too early");
          return "sent";
        } catch {}
        await both.next("open");
        await post(`/rooms/${room}/messages`, "first");
        return (await both.next("message")).data;
      }, place.room);
      assert.equal(first, "first");
    },
  },
];
