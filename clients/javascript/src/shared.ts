/** A connection that all tabs of a page share, in a SharedWorker whose script is `roomcast/worker`. */

import { Client, type RoomName } from "./client.js";
import { connect, createCore } from "./connect.js";
import type { Notices, Port } from "./port.js";
import type { FromTab, SharedOptions, ToTab } from "./shared-port.js";
import { TabRequests } from "./tab-requests.js";
import type { Options, RoomTypes } from "./types.js";

/** Options that another thread can have. */
export type SharedClientOptions<R extends string = string> = Omit<Options<R>, "fetch" | "WebSocket">;

/** Calls back when the holder of a lock is gone. */
export type WhenGone = (lock: string, run: () => void) => void;

/** A worker that has said nothing for so long, in milliseconds, has died while it was being asked: another is made. */
const WORKER_MS_MAX = 10_000;
/** So many in a row that say nothing, and there are none here: the page may not have any, or the script is not where it should be. */
const SILENT_WORKERS_MAX = 2;

/**
 * As `connect`, over the connection of a worker; tabs with the same address and options share one. `worker` makes it: a worker dies with
 * the tab in whose process it runs, and then another is made, which goes on where that one was. Where a SharedWorker is given in its
 * place, a tab has a connection of its own from then on, and where a browser has none (`worker` is then `undefined`) from the beginning.
 *
 * `echo: false` keeps a message from all tabs of the connection.
 */
export function connectShared<M = RoomTypes>(
  worker: (() => SharedWorker) | SharedWorker | undefined, url: string | URL, options: SharedClientOptions<RoomName<M>> = {},
): Client<M> {
  if (!worker) return connect<M>(url, options);
  if (typeof worker === "function") return connectPort<M>(() => worker().port, url, options);
  const ports = [worker.port];
  return connectPort<M>(() => ports.pop(), url, options);
}

/** The same over ports of workers: the first, and the next when that worker is gone. Where there is none the connection is the tab's. */
export function connectPort<M = RoomTypes>(
  open: () => MessagePort | undefined, url: string | URL, options: SharedClientOptions<RoomName<M>>, whenGone: WhenGone = waitForLock,
): Client<M> {
  const { token, rooms = [], ...rest } = options;
  const { href } = new URL(url, (globalThis as { location?: Location }).location?.href);
  const shared: SharedOptions = { ...rest, ...(typeof token === "string" && { token }) };
  const hello = { url: href, options: shared, asksForToken: typeof token === "function" };
  let lock: string | undefined;
  let worker: MessagePort | undefined;
  let silentWorkers = 0;

  const attach = () => {
    worker = silentWorkers < SILENT_WORKERS_MAX ? tryTo(open) : undefined;
    if (!worker) {
      const core = createCore(url, options as Options, (name, value) => requests.take(name, value));
      requests.attach(core);
      return core.start();
    }
    const port = worker;
    const post = (message: Partial<FromTab>) => port.postMessage(message);
    const answer = async (question: number, reason: "connect" | "expired") => {
      try {
        post({ answer: { question, token: typeof token === "function" ? await token(reason) : undefined } });
      } catch {
        post({ answer: { question, failed: true } });
      }
    };
    const silence = setTimeout(() => {
      silentWorkers += 1;
      post({ call: ["close"] });
      next(port);
    }, WORKER_MS_MAX);
    port.onmessage = ({ data }: MessageEvent<ToTab>) => {
      clearTimeout(silence);
      silentWorkers = 0;
      if (port !== worker) return;
      if ("notice" in data) requests.take(data.notice[0], data.notice[1] as Notices[keyof Notices]);
      else if ("lock" in data) whenGone(data.lock, () => next(port));
      else void answer(data.question, data.reason);
    };
    post({ hello, ...(lock && { lock }) });
    requests.attach(callsTo(post));
  };

  const next = (gone: MessagePort) => {
    if (gone === worker && !requests.isOver) attach();
  };

  const requests = new TabRequests((name, value) => client.notice(name, value));
  const client = new Client<M>(requests);
  attach();
  holdLock(
    (name) => {
      lock = name;
      worker?.postMessage({ lock });
    },
    () => requests.close(),
  );
  for (const wanted of rooms) {
    const { room, after } = typeof wanted === "string" ? { room: wanted, after: undefined } : wanted;
    client.room(room, { after });
  }
  return client;
}

function tryTo<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}

/** What is asked of a worker, as messages. */
function callsTo(post: (message: Partial<FromTab>) => void): Port {
  const call = (...values: unknown[]) => post({ call: values as FromTab["call"] });
  return {
    join: (...values) => call("join", ...values),
    leave: (...values) => call("leave", ...values),
    publish: (...values) => call("publish", ...values),
    get: (...values) => call("get", ...values),
    close: () => call("close"),
  };
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

function waitForLock(lock: string, run: () => void): void {
  void globalThis.navigator?.locks?.request(lock, run);
}
