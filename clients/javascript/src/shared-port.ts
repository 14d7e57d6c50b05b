/** What tabs and the shared worker say to each other. */

import type { Notices, Port } from "./port.js";
import type { Options, TokenReason } from "./types.js";

export type { Notices, Port, Ref, RoomNotices } from "./port.js";
export type { Presence } from "./types.js";

/** What can be sent to another thread, and is the same for tabs that share a connection. */
export type SharedOptions = Omit<Options, "token" | "rooms" | "fetch" | "WebSocket"> & { token?: string };

/** The first word of a tab. */
export interface Hello {
  url: string;
  options: SharedOptions;
  asksForToken: boolean;
}

/** The answer to a question for a token. */
export interface Answer {
  question: number;
  token?: string | null | undefined;
  failed?: boolean;
}

type Call = { [Name in keyof Port]: [Name, ...Parameters<Port[Name]>] }[keyof Port];

/** From a tab, one of these. */
export interface FromTab {
  hello: Hello;
  /** The name of a lock that the tab holds for as long as it lives. */
  lock: string;
  call: Call;
  answer: Answer;
}

/** To a tab. */
export type ToTab =
  | { notice: [keyof Notices, unknown] }
  /** The name of a lock that the worker holds for as long as it lives. */
  | { lock: string }
  | { question: number; reason: TokenReason };
