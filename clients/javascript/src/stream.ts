/** Server-Sent Events, read with `fetch`: an EventSource can send no token in a header, tells nothing of errors, and is not everywhere. */

import { composeCursor, idInCursor } from "./cursor.js";
import { eventStreamReader, type StreamEvent } from "./event-stream.js";
import type { Frame } from "./frame.js";
import { openHttp, type Http, type HttpLink } from "./http.js";
import type { Transport } from "./transport.js";

export function streamTransport(http: Http): Transport {
  return { name: "sse", open: (request, events) => openHttp(http, request, events, run) };
}

async function run({ request, events, get }: HttpLink): Promise<void> {
  const response = await get("/sse", { format: "json" }, composeCursor(request.ids));
  if (!response) return;
  if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) throw "no event stream";
  const body = response.body!.getReader();
  const decoder = new TextDecoder();
  const take = eventStreamReader((event) => toFrames(event).forEach(events.frame));
  for (;;) {
    const { done, value } = await body.read();
    if (done) throw "end";
    events.heard();
    take(decoder.decode(value, { stream: true }));
  }
}

/** The frames of JSON mode that say the same. */
function toFrames({ event, data, id }: StreamEvent): Frame[] {
  const value = JSON.parse(data);
  // Messages say themselves that they are; their event's name is another.
  if (event !== "connected") return [{ type: event, ...value }];
  const { rooms, ...welcome } = value as { rooms: Record<string, { resumed: boolean; missed: boolean }> };
  const subscribed = Object.entries(rooms).map(([room, verdict]): Frame => {
    return { type: "subscribed", room, id: idInCursor(id, room) ?? null, ...verdict };
  });
  return [{ type: "welcome", ...welcome }, ...subscribed];
}
