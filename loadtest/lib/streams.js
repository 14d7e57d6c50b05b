// Event streams that keep numbered messages in a ledger. They need k6 with our extension, because k6
// itself has no EventSource: `cargo xtask loadtest` builds it.

import { EventSource } from 'k6/x/eventsource';

import {
  connected, connectFailures, connectTime, cutOff, JsonSocket, missed, RawSocket, reconnects, reconnectTime,
} from './sockets.js';
import { headers, url } from './settings.js';

/** An EventSource on one room; it comes back by itself, as in a browser. */
export class Stream {
  get kind() { return 'sse'; }

  constructor(room, ledger, { onMember = null, onMessage = null, onBack = null } = {}) {
    this.room = room;
    this.ledger = ledger;
    this.onMember = onMember;
    this.onMessage = onMessage;
    this.onBack = onBack;
    this.ready = false;
    this.closing = false;
    this.ended = false;
    this.loss = null;
    this.announced = false;
    this.resumptions = 0;
    this.began = Date.now();
    this.source = new EventSource(`${url}/sse?room=${encodeURIComponent(room)}`, { headers });
    this.source.addEventListener('open', (event) => this.opened(event));
    this.source.addEventListener('connected', (event) => this.connected(JSON.parse(event.data)));
    this.source.addEventListener('message', (event) => this.take(JSON.parse(event.data)));
    this.source.addEventListener('goodbye', () => { this.announced = true; });
    this.source.addEventListener('reset', () => missed.add(1));
    this.source.addEventListener('dropped', () => missed.add(1));
    this.source.addEventListener('error', (event) => this.failed(event.message));
  }

  opened(event) {
    connectTime.add(event.took);
    this.began = Date.now() - event.took;
    this.announced = false;
  }

  connected({ node, rooms }) {
    this.node = node;
    connected.add(1);
    if (this.onMember !== null) this.onMember();
    this.ready = true;
    if (this.ledger !== null) this.ledger.connectedAt = this.began;
    if (rooms[this.room].missed) missed.add(1);
    if (this.loss === null) return;
    if (rooms[this.room].resumed) this.resumptions += 1;
    reconnects.add(1, { kind: this.kind });
    reconnectTime.add(Date.now() - this.loss.at);
    if (this.onBack !== null) this.onBack(this.loss, Date.now());
    this.loss = null;
  }

  failed(message) {
    const wasReady = this.ready;
    this.ready = false;
    if (this.source.readyState === 2) {
      console.error(`${this.room}: the stream gives up, as an EventSource must: ${message}`);
      this.ended = true;
    }
    if (!wasReady) return connectFailures.add(1);
    if (!this.announced && !this.expected) cutOff.add(1, { kind: this.kind });
    this.loss = { at: Date.now(), node: this.node, announced: this.announced };
    this.expected = false;
  }

  /** Loses the connection as a broken network does; that is no fault of the server. */
  cut() {
    this.expected = true;
    this.source.cut();
  }

  close() {
    this.closing = true;
    this.ended = true;
    this.source.close();
  }

  take(data) {
    if (this.ledger !== null) this.ledger.take(data);
    if (this.onMessage !== null) this.onMessage(data);
  }
}

/** Clients of every kind, in turn. */
export const EVERY_KIND = [RawSocket, JsonSocket, Stream];
