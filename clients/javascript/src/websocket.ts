/** WebSocket in JSON mode. The token goes into a message, not into the URL, which ends up in logs. */

import type { Frame } from "./frame.js";
import { UNREACHABLE, type Link, type LinkEvents, type Transport } from "./transport.js";

const SUBPROTOCOL = "roomcast.v1";

/** What is used of a WebSocket. */
export interface WebSocketLike {
  readonly protocol: string;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

/** A browser's `WebSocket`, that of Node.js 22, or npm `ws`. */
export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

/** Where there is no constructor, opening fails and the next transport has its turn. */
export function webSocketTransport(base: string, constructor: WebSocketConstructor): Transport {
  return { name: "websocket", open: (_request, events) => open(new constructor(`${base.replace(/^http/, "ws")}/ws`, [SUBPROTOCOL]), events) };
}

function open(socket: WebSocketLike, events: LinkEvents): Link {
  const end = (code: number, reason: string) => {
    events.closed({ code, reason, delayMs: Number(/^reconnect_ms=(\d+)$/.exec(reason)?.[1] ?? 0) });
  };
  socket.onmessage = ({ data }) => {
    if (socket.protocol !== SUBPROTOCOL) return end(UNREACHABLE, "another protocol");
    events.frame(JSON.parse(data) as Frame);
  };
  // What was wrong the close event says, as far as anybody may know.
  socket.onerror = () => {};
  socket.onclose = ({ code, reason }) => end(code, String(reason));
  return { send: (text) => socket.send(text), close: () => socket.close(1000) };
}
