// What clients of every kind have in common: what they count, and what they know of their connection.

import { Counter, Trend } from 'k6/metrics';

const connectTime = new Trend('connect_time', true);
const connected = new Counter('connected');
const connectFailures = new Counter('connect_failures');
const reconnects = new Counter('reconnects');
const reconnectTime = new Trend('reconnect_time', true);
const cutOff = new Counter('cut_off');
const missed = new Counter('missed');

/** A client of one room. What it gets is kept in a ledger, if it has one. */
export class Client {
  constructor(room, ledger, { onMember = null, onMessage = null, onBack = null } = {}) {
    Object.assign(this, { room, ledger, onMember, onMessage, onBack });
    // A member now; asked to leave; gone for good.
    this.ready = false;
    this.closing = false;
    this.ended = false;
    // Of the connection that was lost last, until there is another.
    this.loss = null;
  }

  /** A connection that was begun at this moment has made the client a member: from here on nothing may be lost. */
  member(begun) {
    if (this.onMember !== null) this.onMember();
    this.ready = true;
    if (this.ledger !== null) this.ledger.connectedAt = begun;
    connected.add(1);
    connectTime.add(Date.now() - begun);
    if (this.loss === null) return;
    reconnects.add(1, { kind: this.kind });
    reconnectTime.add(Date.now() - this.loss.at);
    if (this.onBack !== null) this.onBack(this.loss, Date.now());
    this.loss = null;
  }

  /** The connection is gone, or an attempt to have one has failed. `announced`: the server asked the client to leave. */
  lost({ announced, expected = false }) {
    if (!this.ready) return connectFailures.add(1);
    this.ready = false;
    if (!announced && !expected) cutOff.add(1, { kind: this.kind });
    this.loss = { at: Date.now(), node: this.node, announced };
  }

  /** The server says that history could not cover a gap. */
  missed() { missed.add(1); }

  take(data) {
    if (this.ledger !== null) this.ledger.take(data);
    if (this.onMessage !== null) this.onMessage(data);
  }
}

/** So that what has not happened is seen as 0, and not as nothing, while a test runs. */
export function countNothing() {
  [connected, connectFailures, reconnects, cutOff, missed].forEach((counter) => counter.add(0));
}
