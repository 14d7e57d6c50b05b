/** A connection that all tabs of a page share, in a SharedWorker whose script is `roomcast/worker`. */

import { Client, type RoomName } from "./client.js";
import { connect } from "./connect.js";
import type { Notices } from "./port.js";
import type { FromTab, SharedOptions, ToTab } from "./shared-port.js";
import type { Options, RoomTypes } from "./types.js";

/** Options that another thread can have. */
export type SharedClientOptions<R extends string = string> = Omit<Options<R>, "fetch" | "WebSocket">;

/**
 * As `connect`, over the connection of the worker; tabs with the same address and options share one. Where a browser has no SharedWorker
 * (`worker` is then `undefined`) the tab has a connection of its own.
 *
 * `echo: false` keeps a message from all tabs of the connection.
 */
export function connectShared<M = RoomTypes>(
  worker: SharedWorker | undefined, url: string | URL, options: SharedClientOptions<RoomName<M>> = {},
): Client<M> {
  return worker ? connectPort<M>(worker.port, url, options) : connect<M>(url, options);
}

/** The same over the port of a worker. */
export function connectPort<M = RoomTypes>(port: MessagePort, url: string | URL, options: SharedClientOptions<RoomName<M>>): Client<M> {
  const { token, rooms = [], ...rest } = options;
  const post = (message: Partial<FromTab>) => port.postMessage(message);
  const call = (...values: unknown[]) => post({ call: values as FromTab["call"] });
  const client = new Client<M>({
    join: (...values) => call("join", ...values),
    leave: (...values) => call("leave", ...values),
    publish: (...values) => call("publish", ...values),
    get: (...values) => call("get", ...values),
    close: () => call("close"),
  });
  const answer = async (question: number, reason: "connect" | "expired") => {
    try {
      post({ answer: { question, token: typeof token === "function" ? await token(reason) : undefined } });
    } catch {
      post({ answer: { question, failed: true } });
    }
  };
  port.onmessage = ({ data }: MessageEvent<ToTab>) => {
    if ("notice" in data) client.notice(data.notice[0], data.notice[1] as Notices[keyof Notices]);
    else void answer(data.question, data.reason);
  };
  const location = (globalThis as { location?: Location }).location?.href;
  const shared: SharedOptions = { ...rest, ...(typeof token === "string" && { token }) };
  post({ hello: { url: new URL(url, location).href, options: shared, asksForToken: typeof token === "function" } });
  holdLock((lock) => post({ lock }), () => call("close"));
  for (const wanted of rooms) {
    const { room, after } = typeof wanted === "string" ? { room: wanted, after: undefined } : wanted;
    client.room(room, { after });
  }
  return client;
}

/** Holds a lock for as long as the tab lives, whose end no event tells. Without TLS there are no locks: there `leave` is called. */
function holdLock(held: (name: string) => void, leave: () => void): void {
  const { locks } = globalThis.navigator ?? {};
  if (!locks) return globalThis.addEventListener?.("pagehide", leave);
  const name = `roomcast ${crypto.getRandomValues(new Uint32Array(4)).join("-")}`;
  void locks.request(name, () => {
    held(name);
    return new Promise(() => {});
  });
}
