// WebSockets of npm `ws`: ws.mjs PORT PATH COUNT [SUBPROTOCOL]; speaks the line protocol of README.md.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import WebSocket from "ws";
import { listen, message, say } from "./lines.mjs";

const [port, path, count, protocol] = process.argv.slice(2);
// The file of the authority to trust, for a node with TLS.
const authority = process.env.TLS_AUTHORITY;
const [scheme, options] = authority ? ["wss", { ca: readFileSync(authority) }] : ["ws", {}];
const sockets = [];

for (let n = 0; n < Number(count); n++) {
  const socket = new WebSocket(`${scheme}://127.0.0.1:${port}${path}`, protocol ? [protocol] : [], options);
  sockets.push(socket);
  socket.on("open", () => say({ n, what: "open", extensions: socket.extensions }));
  socket.on("message", (data, isBinary) => message(n, data, isBinary));
  socket.on("close", (code, reason) => say({ n, what: "close", code, reason: reason.toString() }));
  await once(socket, "open");
}

listen(
  ({ n }, payload) => sockets[n].send(payload),
  () => sockets.forEach((socket) => socket.close(1000)),
);
