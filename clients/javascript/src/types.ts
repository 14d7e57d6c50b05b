/** What users of the package see. */

import type { Backoff } from "./backoff.js";
import type { Member } from "./frame.js";
import type { Missed, RoomcastError } from "./error.js";
import type { WebSocketConstructor } from "./websocket.js";

export type { Member };

/** What the messages of each room carry; patterns such as `` [room: `chat:${string}`]: Chat `` work as well. */
export type RoomTypes = Record<string, unknown>;

/** A message of a room. */
export interface Message<T = unknown> {
  room: string;
  /** The message's name, `message` where it has none. */
  event: string;
  /** JSON as a value, text as a string, bytes as a `Uint8Array`. */
  data: T;
  /** Its place in the room's history; absent where the room keeps none. */
  id?: string;
  /** The signed-in user who sent it; absent for backends and for clients without a token. */
  user?: string;
}

/** How messages come. */
export type TransportName = "websocket" | "sse" | "poll";

/** Whether the client is connected, and how. */
export interface Status {
  state: "connecting" | "connected" | "waiting" | "closed";
  transport?: TransportName | undefined;
  /** The node of the gateway. */
  node?: string | undefined;
}

/** The client is in the room. */
export interface Joined {
  room: string;
  /** Whether it has come back and misses nothing. */
  resumed: boolean;
  /** Where it stands; absent where the room keeps no history. */
  id?: string | undefined;
}

/** The client is not in the room any more, or could not come in. */
export interface Left {
  room: string;
  /** Why, unless the program wanted it. */
  error?: RoomcastError;
}

/** Who has come and gone since the last such event, and who is there now. */
export interface Presence {
  room: string;
  joined: Member[];
  left: Member[];
  members: Member[];
}

/** Why a token is asked for: at the beginning, or because the gateway has refused the one before or it has ended. */
export type TokenReason = "connect" | "expired";

/** Gives a token, or nothing where there is none any more; then the connection ends. An exception is tried again later. */
export type TokenCallback = (reason: TokenReason) => string | null | undefined | Promise<string | null | undefined>;

/** A room to be in from the beginning. */
export interface RoomRequest<R extends string = string> {
  room: R;
  /** The id that was last seen, kept from an earlier time. */
  after?: string;
}

/** Settings of a connection. */
export interface Options<R extends string = string> {
  /** A JSON Web Token, or what gives one when it is needed. */
  token?: string | TokenCallback;
  /** Rooms to be in from the beginning; `room(name)` joins further ones. */
  rooms?: readonly (R | RoomRequest<R>)[];
  /** What is tried, in this order. Default: WebSocket, then Server-Sent Events, then long-poll. */
  transports?: readonly TransportName[];
  /** The constructor of WebSockets, where there is no global one, as in Node.js before 22. */
  WebSocket?: WebSocketConstructor;
  /** In place of the global `fetch`. */
  fetch?: typeof fetch;
  /** Waits between attempts to connect. */
  backoff?: Partial<Backoff>;
  /** How long a transport may take to open before the next is tried, in milliseconds. Default 10,000. */
  openTimeoutMs?: number;
  /** How long a stream or poll may be silent before it counts as dead, in milliseconds: more than twice the gateway's heartbeat. Default 75,000. */
  silenceMs?: number;
  /** How long after a fall-back the first transport is tried again, in milliseconds. Default 300,000. */
  upgradeMs?: number;
  /** How many messages may wait to be sent. Default 1000. */
  queueMessages?: number;
  /** How many bytes they may have together. Default 4 MiB. */
  queueBytes?: number;
}

/** How a message is sent. */
export interface PublishOptions {
  /** Its name. */
  event?: string;
  /** Idempotency key; one is made where none is given. */
  key?: string;
  /** `false`: this client does not get it itself. On WebSocket only. */
  echo?: boolean;
}

/** The gateway has the message. */
export interface Published {
  /** Its place in the room's history; absent where the room keeps none. */
  id?: string;
}

/** A part of a room's history. */
export interface HistoryPage<T = unknown> {
  /** The room's last message. */
  id: string;
  messages: Message<T>[];
}

/** Events of a client, over all of its rooms. */
export interface ClientEvents {
  status: Status;
  message: Message;
  missed: Missed;
  joined: Joined;
  left: Left;
  presence: Presence;
  /** The connection has ended for good: without an error because it was closed here. */
  closed: RoomcastError | undefined;
}

/** Events of one room. */
export interface RoomEvents<T> {
  message: Message<T>;
  missed: Missed;
  joined: Joined;
  left: Left;
  presence: Presence;
}
