/** What the core and its users say to each other: plain values, so that they may be on two sides of a worker. */

import type { ErrorCode, Missed } from "./error.js";
import type { Publication } from "./outbox.js";
import type { Joined, Message, Presence, Status } from "./types.js";

/** An error that can be sent to another thread. */
export interface Failure {
  code: ErrorCode;
  message: string;
}

/** The mark of what is to be answered. */
export type Ref = number | string;

/** What a user wants. */
export interface Port {
  /** `watch`: also to know who is there. */
  join(room: string, after?: string, watch?: boolean): void;
  leave(room: string): void;
  publish(item: Publication): void;
  /** Reads a resource of the gateway; `path` begins with a slash. */
  get(ref: Ref, path: string): void;
  close(): void;
}

/** What a user is told of a room. */
export interface RoomNotices {
  message: Message;
  missed: Missed;
  joined: Joined;
  left: { room: string; failure?: Failure };
  presence: Presence;
}

/** What a user is told. */
export interface Notices extends RoomNotices {
  status: Status;
  /** Something that was asked for is not given, and nobody waits for the answer. */
  refused: Failure;
  /** To what was asked with this mark. */
  answer: { ref: Ref; result?: unknown; failure?: Failure | undefined };
  closed: Failure | undefined;
}

/** Tells a user. */
export type Emit = <Name extends keyof Notices>(name: Name, value: Notices[Name]) => void;
