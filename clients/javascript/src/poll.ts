/** Long-poll: gets through everything that lets plain requests through. */

import { composeCursor, idInCursor } from "./cursor.js";
import type { Frame, MessageFrame } from "./frame.js";
import { openHttp, type Http, type HttpLink } from "./http.js";
import type { OpenRequest, Transport } from "./transport.js";

/** How long a poll waits at the gateway, in seconds: less than proxies wait for an answer. */
const WAIT_S = 25;
/** Between two polls that were answered at once with nothing, as a node that drains does. */
const PAUSE_MS = 1000;

interface Answer {
  messages: MessageFrame[];
  /** None where no room keeps history. */
  cursor: string | null;
  reset: string[];
}

export function pollTransport(http: Http): Transport {
  return { name: "poll", open: (request, events) => openHttp(http, request, events, run) };
}

async function run({ request, events, signal, get }: HttpLink): Promise<void> {
  const known = new Set<string>();
  let after = composeCursor(request.ids);
  // The first is answered at once, so that it is known soon whether this way leads to the gateway.
  for (let wait = 0; !signal.aborted; wait = WAIT_S) {
    const begin = Date.now();
    const response = await get("/poll", { wait: String(wait) }, after);
    if (!response) return;
    const answer = (await response.json()) as Answer;
    events.heard();
    if (!wait) events.frame({ type: "welcome" });
    toFrames(answer, request, known).forEach(events.frame);
    after = answer.cursor ?? undefined;
    if (wait && !answer.messages.length && Date.now() - begin < PAUSE_MS) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

/** The frames of JSON mode that say the same; notes in `known` of which rooms something has been said. */
function toFrames({ messages, cursor, reset }: Answer, request: OpenRequest, known: Set<string>): Frame[] {
  const own = `@${request.own}`;
  const rooms = new Set([...request.rooms, ...messages.map(({ room }) => room)]);
  if (idInCursor(cursor, own)) rooms.add(own);
  const before: Frame[] = [];
  const behind: Frame[] = [];
  for (const room of rooms) {
    const missed = reset.includes(room);
    const id = idInCursor(cursor, room);
    if (!known.has(room)) {
      known.add(room);
      const after = request.ids.get(room);
      const resumed = !!after && !!id && !missed;
      // Where the room stands after these messages is said behind them.
      before.push({ type: "subscribed", room, id: resumed ? after : null, resumed, missed, lossy: !id });
    } else if (missed) {
      before.push({ type: "reset", room });
    }
    if (id) behind.push({ type: "position", room, id });
  }
  return [...before, ...messages, ...behind];
}
