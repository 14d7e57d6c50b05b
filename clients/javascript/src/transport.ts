/** What the core asks of a transport. */

import type { Frame } from "./frame.js";
import type { TransportName } from "./types.js";

/** What a link begins with. */
export interface OpenRequest {
  token: string | undefined;
  /** The token's user: messages of its personal room come without asking. */
  own: string | undefined;
  rooms: readonly string[];
  /** Where the client stands, by room; its personal room may be among them without being in `rooms`. */
  ids: ReadonlyMap<string, string>;
}

/**
 * Why a link has ended: a close code of RFC 6455 or of the gateway. An HTTP status of the gateway becomes a code as well, 4000 more: 401
 * and 403 are 4401 and 4403, as on a WebSocket.
 */
export interface End {
  code: number;
  reason: string;
  /** How long the gateway asks to stay away. */
  delayMs?: number | undefined;
}

/** No answer, or one that is not the gateway's: also the browser's own code for that. */
export const UNREACHABLE = 1006;
/** The gateway is there and asks to come later (HTTP 503). */
export const UNAVAILABLE = 4503;

/** What a link tells. Nobody listens any more after `closed`, and after it was closed itself. */
export interface LinkEvents {
  /** Something came that is no frame. */
  heard(): void;
  /** The first is a `welcome`. */
  frame(frame: Frame): void;
  closed(end: End): void;
}

/** A connection, or an attempt at one. */
export interface Link {
  /** Sends one frame; only WebSockets can. */
  send?(text: string): void;
  close(): void;
}

/** One way to the gateway. */
export interface Transport {
  readonly name: TransportName;
  open(request: OpenRequest, events: LinkEvents): Link;
}
