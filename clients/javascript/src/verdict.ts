/** What is done when a link ends (docs/protocol.md, "Heartbeat and close codes"). */

import type { ErrorCode } from "./error.js";
import { UNREACHABLE, type End } from "./transport.js";

/** What is done. */
export type Verdict =
  /** Nothing more: coming back would change nothing. */
  | { stop: ErrorCode }
  /** Come back: not before a time, with a fresh token, or perhaps by another transport. */
  | { delayMs: number }
  | "token"
  | "next";

/** "Later, and more slowly" (4429), in milliseconds. */
const TOO_FAST_MS = 10_000;
/** The longest time that a gateway can ask to stay away, in milliseconds. */
const DELAY_MS_MAX = 300_000;

const STOPS: Record<number, ErrorCode> = {
  4403: "forbidden", 4410: "disconnected", 4400: "bad_request",
};

export function judge({ code, delayMs = 0 }: Pick<End, "code" | "delayMs">): Verdict {
  const stop = STOPS[code];
  if (stop) return { stop };
  if (code === 4401) return "token";
  if (code === UNREACHABLE && !delayMs) return "next";
  return { delayMs: Math.min(DELAY_MS_MAX, Math.max(code === 4429 ? TOO_FAST_MS : 0, delayMs)) };
}
