/** Requests over HTTP: what their errors mean, and links that are made of them. */

import type { ErrorCode } from "./error.js";
import type { Failure } from "./port.js";
import { UNREACHABLE, type Link, type LinkEvents, type OpenRequest } from "./transport.js";

/** The longest time that one request may take which does not wait for anything. */
const REQUEST_MS_MAX = 20_000;
/** What the gateway's own errors are told apart from those of proxies by. */
const PROBLEM = "urn:roomcast:";

/** Where the gateway is, and how it is asked. */
export interface Http {
  /** Without a slash at the end. */
  base: string;
  fetch: typeof fetch;
}

function request({ base, fetch }: Http, path: string, token: string | undefined, init: RequestInit): Promise<Response> {
  const headers = { ...init.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  return fetch(base + path, { cache: "no-store", ...init, headers });
}

/** Of the gateway; without a code it is not the gateway that answers. */
async function problemOf(response: Response): Promise<{ code?: ErrorCode; detail: string }> {
  const { type, detail } = await response.json().catch(() => ({}));
  if (!String(type).startsWith(PROBLEM)) return { detail: `HTTP ${response.status}` };
  return { code: type.slice(PROBLEM.length), detail };
}

/** Asks for JSON. Every failure is a `Failure`, with `unavailable` where trying again may help. */
export async function ask<T>(http: Http, path: string, token: string | undefined, init: RequestInit = {}): Promise<T> {
  let failure: Failure;
  try {
    const response = await request(http, path, token, { ...init, signal: AbortSignal.timeout(REQUEST_MS_MAX) });
    if (response.ok) return await response.json();
    const { code = "unavailable", detail: message } = await problemOf(response);
    failure = { code, message };
  } catch (error) {
    failure = { code: "unavailable", message: String(error) };
  }
  throw failure;
}

/** What a link made of requests does. */
export interface HttpLink {
  readonly request: OpenRequest;
  readonly events: LinkEvents;
  readonly signal: AbortSignal;
  /** Asks for a stream or poll of the request's rooms; nothing where it is refused or closed, which has been told. */
  get(path: string, query: Record<string, string>, after: string | undefined): Promise<Response | undefined>;
}

/** Opens a link that lasts as long as `run`. What it tells after it was closed is not listened to. */
export function openHttp(http: Http, opening: OpenRequest, events: LinkEvents, run: (link: HttpLink) => Promise<void>): Link {
  const abort = new AbortController();
  const { signal } = abort;
  const get = async (path: string, parameters: Record<string, string>, after: string | undefined) => {
    const query = new URLSearchParams(parameters);
    for (const room of opening.rooms) query.append("room", room);
    if (after) query.set("after", after);
    const response = await request(http, `${path}?${query}`, opening.token, { signal });
    if (response.ok) return response;
    const { code, detail: reason } = await problemOf(response);
    const delayMs = Number(response.headers.get("Retry-After")) * 1000;
    // What a proxy says tells nothing of the gateway: another transport may get through.
    events.closed(code ? { code: 4000 + response.status, reason, delayMs } : { code: UNREACHABLE, reason });
    return undefined;
  };
  const begin = async () => {
    // With the first room another link is opened.
    if (opening.rooms.length) return run({ request: opening, events, signal, get });
    await undefined;
    events.frame({ type: "welcome" });
  };
  begin().catch((error) => events.closed({ code: UNREACHABLE, reason: String(error) }));
  return { close: () => abort.abort() };
}
