/** Puts a core into this thread, with the transports of a browser or of Node.js. */

import { BACKOFF } from "./backoff.js";
import { Client, type RoomName } from "./client.js";
import { Connection, type Environment, type Settings } from "./connection.js";
import { ask, type Http } from "./http.js";
import type { Publication } from "./outbox.js";
import { pollTransport } from "./poll.js";
import type { Emit } from "./port.js";
import { streamTransport } from "./stream.js";
import type { Options, Published, RoomTypes, TransportName } from "./types.js";
import { webSocketTransport, type WebSocketConstructor } from "./websocket.js";

const DEFAULTS = {
  openTimeoutMs: 10_000, silenceMs: 75_000, upgradeMs: 300_000, queueMessages: 1000, queueBytes: 4 << 20,
} satisfies Partial<Settings>;

/**
 * Connects to the gateway at `url`, such as `https://rt.example`, and stays connected until `close()`, or until coming back would
 * change nothing (4401 without a fresh token, 4403, 4410).
 */
export function connect<M = RoomTypes>(url: string | URL, options: Options<RoomName<M>> = {}): Client<M> {
  const core = createCore(url, options, (name, value) => client.notice(name, value));
  const client: Client<M> = new Client<M>(core);
  for (const wanted of options.rooms ?? []) {
    const { room, after } = typeof wanted === "string" ? { room: wanted } : wanted;
    client.room(room, { after });
  }
  core.start();
  return client;
}

export function createCore(url: string | URL, options: Options, emit: Emit): Connection {
  const http: Http = { base: baseOf(url), fetch: options.fetch ?? globalThis.fetch.bind(globalThis) };
  const settings = { ...DEFAULTS, ...options, backoff: { ...BACKOFF, ...options.backoff } };
  const connection = new Connection(environment(http, options), settings, (name, value) => {
    if (name === "closed") forget();
    emit(name, value);
  });
  const forget = onReturn(() => connection.wake());
  return connection;
}

function baseOf(url: string | URL): string {
  const { href } = new URL(url, (globalThis as { location?: Location }).location?.href);
  return href.replace(/^ws/, "http").replace(/\/*([?#].*)?$/, "");
}

function environment(http: Http, options: Options): Environment {
  const constructor = options.WebSocket ?? globalThis.WebSocket as WebSocketConstructor;
  // In this order: the first answers commands, the last gets through everything.
  const make = {
    websocket: () => webSocketTransport(http.base, constructor),
    sse: () => streamTransport(http),
    poll: () => pollTransport(http),
  };
  return {
    now: Date.now,
    random: Math.random,
    schedule(run, delayMs) {
      const timer = setTimeout(run, delayMs);
      return () => clearTimeout(timer);
    },
    transports: (options.transports ?? (Object.keys(make) as TransportName[])).map((name) => make[name]()),
    publish: (item, token) => publish(http, item, token),
    get: (path, token) => ask(http, path, token),
    token: options.token,
  };
}

async function publish(http: Http, { room, event, json, bytes, key }: Publication, token: string | undefined): Promise<Published> {
  const query = event === undefined ? "" : `?${new URLSearchParams({ event })}`;
  const { id } = await ask<{ id?: string }>(http, `/rooms/${encodeURIComponent(room)}/messages${query}`, token, {
    method: "POST",
    headers: {
      "Content-Type": json === undefined ? "application/octet-stream" : "application/json",
      "Idempotency-Key": key,
    },
    body: json ?? (bytes as Uint8Array<ArrayBuffer>),
  });
  return id ? { id } : {};
}

/** Calls `wake` when the network is back or the page is seen again; gives what ends that. */
function onReturn(wake: () => void): () => void {
  const { document, addEventListener } = globalThis as Partial<typeof globalThis>;
  const abort = new AbortController();
  const listener = () => {
    if (!document?.hidden) wake();
  };
  addEventListener?.("online", listener, abort);
  document?.addEventListener("visibilitychange", listener, abort);
  return () => abort.abort();
}
