/** The wait before another attempt: full jitter, so that clients that lost one node do not arrive together at the next. */

/** How waits grow, in milliseconds. */
export interface Backoff {
  /** The longest first wait. */
  baseMs: number;
  /** The longest wait of all. */
  capMs: number;
}

/** Spreads the clients of a lost node over a second; a service that is away for long is asked twice a minute. */
export const BACKOFF: Backoff = { baseMs: 1000, capMs: 30_000 };

/** Beyond this many attempts every wait has long reached its cap. */
const ATTEMPTS_MAX = 30;

/** A wait in milliseconds before attempt number `attempt`, which counts from 0: anything from 0 to the bound, which doubles. */
export function fullJitter({ baseMs, capMs }: Backoff, attempt: number, random: () => number): number {
  return random() * Math.min(capMs, baseMs * 2 ** Math.min(attempt, ATTEMPTS_MAX));
}
