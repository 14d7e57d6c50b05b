// Event streams that keep numbered messages in a ledger. They need k6 with our extension, because k6
// itself has no EventSource: `cargo xtask loadtest` builds it.

import { EventSource } from 'k6/x/eventsource';

import { Client } from './client.js';
import { headers, url } from './settings.js';
import { JsonSocket, RawSocket } from './sockets.js';

/** An EventSource on one room; it comes back by itself, as in a browser. */
export class Stream extends Client {
  get kind() { return 'sse'; }

  constructor(room, ledger, settings) {
    super(room, ledger, settings);
    // The end of this connection is announced by the server, or expected because the script cuts it.
    this.announced = false;
    this.expected = false;
    this.resumptions = 0;
    this.source = new EventSource(`${url}/sse?room=${encodeURIComponent(room)}`, { headers });
    this.source.addEventListener('open', ({ took }) => this.opened(took));
    this.source.addEventListener('connected', (event) => this.connected(JSON.parse(event.data)));
    this.source.addEventListener('message', (event) => this.take(JSON.parse(event.data)));
    this.source.addEventListener('goodbye', () => { this.announced = true; });
    this.source.addEventListener('reset', () => this.missed());
    this.source.addEventListener('dropped', () => this.missed());
    this.source.addEventListener('error', (event) => this.failed(event.message));
  }

  opened(took) {
    this.begun = Date.now() - took;
    this.announced = false;
    this.expected = false;
  }

  connected({ node, rooms }) {
    const { resumed, missed } = rooms[this.room];
    this.node = node;
    if (missed) this.missed();
    if (this.loss !== null && resumed) this.resumptions += 1;
    this.member(this.begun);
  }

  failed(message) {
    this.lost({ announced: this.announced, expected: this.expected });
    if (this.source.readyState !== 2) return;
    console.error(`${this.room}: the stream gives up, as an EventSource must: ${message}`);
    this.ended = true;
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
}

/** Clients of every kind, in turn. */
export const EVERY_KIND = [RawSocket, JsonSocket, Stream];
