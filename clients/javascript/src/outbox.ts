/** Messages on their way to the gateway: bounded, in order, each with a key, until the gateway has answered. */

import type { Ref } from "./port.js";

/** A message to be published. */
export interface Publication {
  /** The program's mark. */
  ref: Ref;
  room: string;
  event?: string | undefined;
  /** JSON, as it is written; none where it is bytes. */
  json?: string | undefined;
  bytes?: Uint8Array | undefined;
  /** The gateway publishes nothing twice that has the same key within five minutes. */
  key: string;
  echo?: boolean | undefined;
}

/** How much may wait. */
export interface OutboxLimits {
  queueMessages: number;
  queueBytes: number;
}

/** A publish may be repeated for so long after it was first sent, in milliseconds: a minute less than its key counts. */
export const REPEAT_MS_MAX = 240_000;

/** What a message takes besides what it carries: room, event, key and the entry itself. */
const ENTRY_BYTES = 512;

interface Entry {
  readonly item: Publication;
  sentAt?: number;
  inFlight?: boolean;
}

/** A pure value. */
export class Outbox {
  readonly #limits: OutboxLimits;
  /** In the order in which they were given; those in flight are among them. */
  #entries: Entry[] = [];
  #bytes = 0;

  constructor(limits: OutboxLimits) {
    this.#limits = limits;
  }

  /** Queues a message; whether there was room for it. */
  add(item: Publication): boolean {
    const bytes = this.#bytes + sizeOf(item);
    if (this.#entries.length >= this.#limits.queueMessages || bytes > this.#limits.queueBytes) return false;
    this.#entries.push({ item });
    this.#bytes = bytes;
    return true;
  }

  /** The next message to send, if fewer than `window` are in flight. */
  next(now: number, window: number): Publication | undefined {
    const entry = this.#entries.find(({ inFlight }) => !inFlight);
    if (!entry || this.inFlight().length >= window) return undefined;
    entry.inFlight = true;
    entry.sentAt ??= now;
    return entry.item;
  }

  inFlight(): Publication[] {
    return this.#entries.filter(({ inFlight }) => inFlight).map(({ item }) => item);
  }

  /** What is in flight is to be sent again: all of it, or one message. */
  retry(item?: Publication): void {
    for (const entry of this.#entries) {
      if (!item || entry.item === item) entry.inFlight = false;
    }
  }

  /** It has been answered for good. */
  settle(item: Publication): void {
    this.#take((entry) => entry.item === item);
  }

  /** Takes out what was sent so long ago that its key may not count any more. */
  expired(now: number): Publication[] {
    return this.#take(({ sentAt = now, inFlight }) => !inFlight && now - sentAt > REPEAT_MS_MAX);
  }

  /** Takes out everything. */
  takeAll(): Publication[] {
    return this.#take(() => true);
  }

  #take(is: (entry: Entry) => boolean): Publication[] {
    const taken = this.#entries.filter(is).map(({ item }) => item);
    this.#entries = this.#entries.filter((entry) => !is(entry));
    for (const item of taken) this.#bytes -= sizeOf(item);
    return taken;
  }
}

export function sizeOf({ json, bytes }: Publication): number {
  return (json ?? bytes ?? "").length + ENTRY_BYTES;
}
