// What a publisher may send, and what comes of it on every wire. WebSockets and JSON carry all of it; an event stream knows one line
// break only, which is LF when it arrives.
import assert from "node:assert/strict";

/** Name of the test, and texts. */
const TEXTS = [
  ["eventsource/event-data", "data may have lines that are empty, also at its end", ["msg", "1\n2\n\n3", "\n", "\n\nmsg\n\n"]],
  ["eventsource/format-field-data", "empty data is a message with empty data", [""]],
  ["eventsource/format-bom", "a BOM at the beginning of data is part of it", ["\ufeffdata"]],
  ["eventsource/format-bom-2", "and so are two of them, in front of what looks like a field", ["\ufeff\ufeffdata: x", "\ufeffretry: 1\n\ufeff"]],
  ["eventsource/format-newlines", "CR, LF and CRLF are line breaks, and nothing else is", ["a\rb", "a\r\nb", "a\n\rb", "a\r\r\n\nb\r", "a\u2028b\u2029c\u0085d\vE\fF"]],
  ["eventsource/format-null-character", "NUL is a character as any other", ["\0", "data\0 end", "\0\n\0"]],
  ["eventsource/format-leading-space", "spaces in front stay", [" x", "  x", "\tx", ": x", " \n "]],
  ["eventsource/format-field-parsing", "what looks like a field is not one", ["data:x\ndata\nid\nevent:y\nretry:1\n:comment\n\nfoo: bar\n"]],
  ["eventsource/format-field-unknown", "neither is what looks like an unknown one", ["data :a\n data:b\nDATA:c\nda-ta:d"]],
  ["eventsource/format-comments", "a payload is never a comment", [":", ": ping", ":\n:x"]],
  ["eventsource/format-utf-8", "all characters arrive", ["größe ✓ 🎈 \u{10ffff}", "\u0001\u001f\u007f\ufffe\ufffd"]],
];

/** One of everything that hears a room. */
async function hear({ room, texts }) {
  const streams = [source(`/sse?room=${room}`), source(`/sse?room=${room}&format=json`)];
  const raw = socket(`/ws?room=${room}`);
  const json = await jsonSocket(`/ws?room=${room}`);
  await raw.next("open");
  for (const stream of streams) await stream.next("connected");
  const heard = [];
  for (const text of texts) {
    await post(`/rooms/${room}/messages`, text, { "Content-Type": "text/plain;charset=utf-8" });
    const [verbatim, object] = [await streams[0].next("message"), await streams[1].next("message")];
    heard.push([verbatim.data, JSON.parse(object.data).data, (await raw.next("message")).data, (await json.next("message")).data]);
  }
  return heard;
}

export const payloads = TEXTS.map(([wpt, must, texts]) => ({
  wpt: [wpt],
  must,
  check: async (place) => {
    const page = await place.page();
    const heard = await page.evaluate(hear, { room: place.room, texts });
    const expected = texts.map((text) => [text.replace(/\r\n?/g, "\n"), text, text, text]);
    assert.deepEqual(heard, expected);
  },
}));
