// What one receiver has been sent, by number: nothing may be missing, come twice or come late.

import { Counter, Trend } from 'k6/metrics';

const lost = new Counter('lost');
const duplicated = new Counter('duplicated');
const reordered = new Counter('reordered');
const delivered = new Counter('delivered');
const latency = new Trend('delivery_latency', true);
const resumedLatency = new Trend('resumed_latency', true);

/** Numbers that one receiver may wait for; whoever misses more is not told apart further. */
const MISSING_MAX = 10000;

/** A message as publishers number it: sender, number, and when it was due, in milliseconds. */
export function message(sender, n, due, pad = '') {
  return JSON.stringify({ s: sender, n, t: due, pad });
}

export class Ledger {
  /** `sampleEvery`: of how many messages one latency is kept, because k6 keeps each value in memory. */
  constructor(sampleEvery = 1) {
    this.senders = new Map();
    this.sampleEvery = sampleEvery;
    this.received = 0;
    // When the connection was made that messages come by: what was sent before has been waiting in history.
    this.connectedAt = 0;
    // A fingerprint of the order: receivers of the same messages must have the same.
    this.order = 0;
  }

  /** From here on all of a sender's messages after `published` must come; those that were under way may. */
  begin(sender, published = 0) {
    if (!this.senders.has(sender)) {
      this.senders.set(sender, { floor: published, early: 0, next: published + 1, missing: new Set(), beyond: 0 });
    }
  }

  /** Takes a message of a sender that has begun; others are of no concern. */
  take({ s, n, t }) {
    const state = this.senders.get(s);
    if (state === undefined) return;
    this.received += 1;
    delivered.add(1);
    this.order = (this.order * 31 + s * 7919 + n) % 4294967291;
    if (this.received % this.sampleEvery === 0) {
      (t < this.connectedAt ? resumedLatency : latency).add(Math.max(0, Date.now() - t));
    }
    if (n <= state.floor) return this.takeEarly(state, n);
    if (n === state.next) {
      state.next += 1;
    } else if (n > state.next) {
      this.miss(state, n);
    } else if (state.missing.delete(n)) {
      reordered.add(1);
    } else {
      duplicated.add(1);
    }
  }

  takeEarly(state, n) {
    if (n === state.early) duplicated.add(1);
    if (n < state.early || state.next > state.floor + 1) reordered.add(1);
    state.early = Math.max(state.early, n);
  }

  miss(state, n) {
    for (let missing = state.next; missing < n; missing++) {
      if (state.missing.size < MISSING_MAX) state.missing.add(missing);
      else state.beyond += 1;
    }
    state.next = n + 1;
  }

  /** Whether everything up to `last` is there. */
  has(sender, last) {
    const state = this.senders.get(sender);
    return state !== undefined && state.next > last && state.missing.size === 0;
  }

  /** Counts what has not come: gaps, and up to `last` where the receiver was to stay so long. */
  settle(sender, last = 0) {
    const state = this.senders.get(sender);
    const count = state.missing.size + state.beyond + Math.max(0, last - state.next + 1);
    lost.add(count);
    return count;
  }
}

/** So that what has not happened is seen as 0, and not as nothing, while a test runs. */
export function countNothing() {
  [lost, duplicated, reordered, delivered].forEach((counter) => counter.add(0));
}

/** Receivers of the same messages that do not agree about the order count as reordered. */
export function compareOrder(ledgers) {
  reordered.add(ledgers.filter((ledger) => ledger.order !== ledgers[0].order).length);
}
