// WebSockets over one HTTP/2 connection (RFC 8441), with Node's own `http2` and frames made by hand:
// h2.mjs PORT PATH COUNT; speaks the line protocol of README.md.
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http2 from "node:http2";
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import { listen, message, say } from "./lines.mjs";

const TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10;

const [port, path, count] = process.argv.slice(2);
// Compresses every message, if the server agrees (RFC 7692).
const offer = process.env.DEFLATE ? { "sec-websocket-extensions": "permessage-deflate" } : {};
const RSV1 = 0x40, TAIL = Buffer.from([0, 0, 0xff, 0xff]), FLUSH = { finishFlush: constants.Z_SYNC_FLUSH };
// The file of the authority to trust, for a node with TLS.
const authority = process.env.TLS_AUTHORITY;
const [scheme, options] = authority ? ["https", { ca: readFileSync(authority) }] : ["http", {}];
const session = http2.connect(`${scheme}://127.0.0.1:${port}`, options);
await once(session, "remoteSettings");
// A client must not send the extended CONNECT before the server has said that it knows it (section 3).
if (!session.remoteSettings.enableConnectProtocol) throw new Error("no SETTINGS_ENABLE_CONNECT_PROTOCOL");

/** One final frame, masked as a client's frames must be (RFC 6455, section 5.3). */
function frame(opcode, payload, reserved = 0) {
  const bytes = Buffer.from(payload);
  const length =
    bytes.length < 126 ? Buffer.from([bytes.length | 0x80])
    : bytes.length < 65536 ? Buffer.from([126 | 0x80, bytes.length >> 8, bytes.length & 0xff])
    : Buffer.alloc(9, 0);
  if (length.length === 9) {
    length[0] = 127 | 0x80;
    length.writeUInt32BE(bytes.length, 5);
  }
  const mask = randomBytes(4);
  return Buffer.concat([Buffer.from([opcode | reserved | 0x80]), length, mask, bytes.map((byte, i) => byte ^ mask[i % 4])]);
}

/** The first whole frame of `buffer`, if there is one. The server's frames are never masked. */
function parse(buffer) {
  if (buffer.length < 2) return null;
  const short = buffer[1] & 0x7f;
  const head = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (buffer.length < head) return null;
  const length = short < 126 ? short : short === 126 ? buffer.readUInt16BE(2) : Number(buffer.readBigUInt64BE(2));
  if (buffer.length < head + length) return null;
  if (!(buffer[0] & 0x80) || buffer[1] & 0x80) throw new Error("a fragmented or masked frame");
  const payload = buffer.subarray(head, head + length), size = head + length;
  if (!(buffer[0] & RSV1)) return { opcode: buffer[0] & 0x0f, payload, size };
  if (!process.env.DEFLATE) throw new Error("a compressed frame without an agreement");
  return { opcode: buffer[0] & 0x0f, payload: inflateRawSync(Buffer.concat([payload, TAIL]), FLUSH), size };
}

/** A whole message, compressed without its tail if that was agreed. */
function whole(payload) {
  const opcode = typeof payload === "string" ? TEXT : BINARY;
  if (!process.env.DEFLATE) return frame(opcode, payload);
  return frame(opcode, deflateRawSync(Buffer.from(payload), FLUSH).subarray(0, -TAIL.length), RSV1);
}

function take(n, stream, { opcode, payload }) {
  switch (opcode) {
    case TEXT:
    case BINARY:
      return message(n, payload, opcode === BINARY);
    case PING:
      return stream.write(frame(PONG, payload));
    case CLOSE:
      say({ n, what: "close", code: payload.readUInt16BE(0), reason: payload.subarray(2).toString() });
      return stream.end();
  }
}

async function open(n) {
  const stream = session.request({
    ":method": "CONNECT",
    ":protocol": "websocket",
    ":path": path,
    "sec-websocket-version": "13",
    ...offer,
  });
  const [headers] = await once(stream, "response");
  if (headers[":status"] !== 200) throw new Error(`status ${headers[":status"]}`);
  let buffer = Buffer.alloc(0);
  stream.on("data", (chunk) => {
    buffer = Buffer.concat([buffer, chunk]);
    for (let whole; (whole = parse(buffer)); buffer = buffer.subarray(whole.size)) take(n, stream, whole);
  });
  say({ n, what: "open", extensions: headers["sec-websocket-extensions"] ?? "" });
  return stream;
}

const streams = [];
for (let n = 0; n < Number(count); n++) streams.push(await open(n));

listen(
  ({ n }, payload) => streams[n].write(whole(payload)),
  () => {
    // 1000, then wait for the server's own close frame before the connection goes.
    streams.filter((stream) => stream.writable).forEach((stream) => stream.write(frame(CLOSE, [0x03, 0xe8])));
    session.close();
  },
);
