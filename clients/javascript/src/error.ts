/** Errors: a `code` for programs, a sentence for people. */

/**
 * What went wrong. The gateway's own codes are `bad_request`, `unauthorized`, `forbidden`, `not_found`, `too_large`, `rate_limited`,
 * `room_limit` and `unavailable`; the client's are:
 *
 * - `closed`: the connection was closed, by the page or for good by the gateway;
 * - `disconnected`: an operator or a backend has disconnected the client;
 * - `queue_full`: more messages wait to be sent than the queue takes;
 * - `uncertain`: it may have been published or not: no answer came for so long that repeating it could double it;
 * - `missed`: messages are missing, see `MissedError`;
 * - `removed`: a backend or a fresh token has taken the client out of the room.
 */
export type ErrorCode =
  | "bad_request" | "unauthorized" | "forbidden" | "not_found" | "too_large" | "rate_limited" | "room_limit" | "unavailable"
  | "closed" | "disconnected" | "queue_full" | "uncertain" | "removed" | "missed";

/** An error of this client or of the gateway. */
export class RoomcastError extends Error {
  override readonly name: string = "RoomcastError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Why messages are missing. */
export type MissedCause =
  /** The history of the room does not reach back to where the client had stopped. */
  | "missed"
  /** Messages were lost while connected, and history cannot cover the gap. */
  | "reset"
  /** The client read too slowly, and the room's policy is to drop. */
  | "dropped"
  /** The room keeps no history: what was published while the client was away is gone. */
  | "no_history"
  /** An iterator was not read, and its buffer was full. */
  | "unread";

/** Messages of a room that the client does not get. */
export interface Missed {
  room: string;
  cause: MissedCause;
  /** How many, where that is known. */
  count?: number;
}

/** Thrown out of `for await`, and reported where nobody listens to `missed`. */
export class MissedError extends RoomcastError {
  override readonly name = "MissedError";
  readonly missed: Missed;

  constructor(missed: Missed) {
    super("missed", `${missed.room}: messages are missing (${missed.cause}); listen to "missed"`);
    this.missed = missed;
  }
}
