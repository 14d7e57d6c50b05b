/** What the gateway says, in the words of JSON mode (docs/protocol.md). Streams and polls are put into the same words, so that the core knows one language. */

import type { Message } from "./types.js";

/** A member of a room: a user with all of its connections, or a connection without a user. */
export interface Member {
  user?: string;
  connection?: string;
  connections: number;
  /** From the user's token. */
  info?: unknown;
}

/** A message as it is written. */
export interface MessageFrame {
  type: "message";
  room: string;
  event: string;
  data?: unknown;
  base64?: string;
  id?: string;
  user?: string;
}

/** One frame. `ref` is the mark of the command that it answers. */
export type Frame = { ref?: number } & (
  | { type: "welcome"; connection?: string; node?: string; user?: string | null; heartbeat?: number }
  | {
      type: "subscribed";
      room: string;
      id: string | null;
      resumed: boolean;
      missed: boolean;
      /** Only from polls: what comes between two of them is not seen. */
      lossy?: boolean;
    }
  | { type: "unsubscribed"; room: string }
  | MessageFrame
  /** Only from polls: the client stands here although no message said so. */
  | { type: "position"; room: string; id: string }
  | { type: "presence"; room: string; joined: Member[]; left: Member[] }
  | { type: "members"; room: string; members: Member[] }
  | { type: "ok"; id?: string }
  | { type: "pong" }
  | { type: "error"; code: string; message: string }
  | { type: "reset"; room: string }
  | { type: "dropped"; room: string; count: number }
  | { type: "goodbye"; reconnect_ms: number }
);

/** A frame as a program gets it. */
export function toMessage({ type: _, base64, ...message }: MessageFrame): Message {
  return { data: undefined, ...message, ...(base64 !== undefined && { data: fromBase64(base64) }) };
}

export function toBase64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
