// WebSocket clients that keep numbered messages in a ledger: raw mode, and JSON mode that comes back
// with the id of its last message.

import { WebSocket } from 'k6/websockets';

import { Client } from './client.js';
import { headers, wsUrl } from './settings.js';

/** The wait before an attempt after one that failed: doubled each time, with jitter, as the SDK does. */
const BACKOFF_MS = 500;
const BACKOFF_DOUBLINGS_MAX = 4;

/** The reference of the command that asks for the room; those of publishes are numbers. */
const SUBSCRIBE = 'subscribe';

/** What raw and JSON clients have in common. */
class Socket extends Client {
  constructor(room, ledger, { comeBack = false, ...settings } = {}) {
    super(room, ledger, settings);
    this.comeBack = comeBack;
    this.failures = 0;
    this.connect();
  }

  connect() {
    // Its welcome may be dropped, see JsonSocket.
    this.node = undefined;
    this.begun = Date.now();
    const tags = { name: `/ws ${this.kind}` };
    this.socket = new WebSocket(`${wsUrl}/ws${this.query()}`, this.protocols(), { headers, tags });
    this.socket.addEventListener('open', () => this.opened());
    this.socket.addEventListener('message', (event) => this.received(event.data));
    this.socket.addEventListener('error', () => {});
    this.socket.addEventListener('close', (event) => this.closed(event));
  }

  opened() {
    if (this.closing) this.socket.close();
  }

  closed(event) {
    this.failures = this.ready ? 0 : this.failures + 1;
    if (!this.closing) this.lost({ announced: event.code === 1012 });
    if (this.closing || !this.comeBack) {
      this.ready = false;
      this.ended = true;
      return;
    }
    setTimeout(() => this.again(), this.wait(event));
  }

  again() {
    if (this.closing) this.ended = true;
    else this.connect();
  }

  /** The server says how long to wait; where it could not, a growing time with jitter. */
  wait(event) {
    const said = /reconnect_ms=(\d+)/.exec(event.reason || '');
    if (said !== null) return Number(said[1]);
    return BACKOFF_MS * 2 ** Math.min(this.failures, BACKOFF_DOUBLINGS_MAX) * (0.5 + Math.random() / 2);
  }

  close() {
    this.closing = true;
    // k6 cannot close a socket that is not open yet; `opened` does it then.
    if (this.socket.readyState === 1) this.socket.close();
  }
}

/** Raw mode: frames are the messages. No ids, so what is published while it is away is not for it. */
export class RawSocket extends Socket {
  get kind() { return 'raw'; }
  query() { return `?room=${encodeURIComponent(this.room)}`; }
  protocols() { return []; }

  opened() {
    super.opened();
    // A raw client whose socket is open is a member.
    this.member(this.begun);
  }

  received(data) { this.take(JSON.parse(data)); }

  send(text) { this.socket.send(text); }
}

/**
 * JSON mode, subprotocol roomcast.v1. The room is asked for when the socket is open, and not in the URL: k6 2.1 drops
 * messages that come before it has told the script so, which would look as if the server had lost them.
 */
export class JsonSocket extends Socket {
  get kind() { return 'json'; }

  constructor(room, ledger, settings = {}) {
    super(room, ledger, settings);
    this.answers = new Map();
    this.refs = 0;
  }

  query() { return ''; }
  protocols() { return ['roomcast.v1']; }

  opened() {
    super.opened();
    if (this.closing) return;
    this.socket.send(JSON.stringify({ type: 'subscribe', room: this.room, after: this.last, ref: SUBSCRIBE }));
  }

  received(text) {
    const push = JSON.parse(text);
    switch (push.type) {
      case 'welcome':
        this.node = push.node;
        return;
      case 'subscribed':
        if (push.room !== this.room) return;
        if (push.missed) this.missed();
        if (this.last === undefined && push.id) this.last = push.id;
        return this.member(this.begun);
      case 'message':
        if (push.id) this.last = push.id;
        return this.take(push.data);
      case 'reset':
      case 'dropped':
        return this.missed();
      case 'ok':
      case 'error':
        // Whoever is refused a room tries again on another connection.
        if (push.ref === SUBSCRIBE) return this.socket.close();
        return this.answered(push);
    }
  }

  answered(push) {
    const answer = this.answers.get(push.ref);
    this.answers.delete(push.ref);
    if (answer !== undefined) answer(push);
  }

  closed(event) {
    // Whoever waits for an answer on this connection gets none.
    this.answers.forEach((answer) => answer({ type: 'error', code: 'closed' }));
    this.answers.clear();
    super.closed(event);
  }

  /** Publishes data and gives the answer, `ok` or `error`. */
  publish(data) {
    return new Promise((resolve) => {
      if (this.socket.readyState !== 1) return resolve({ type: 'error', code: 'closed' });
      this.refs += 1;
      this.answers.set(this.refs, resolve);
      this.socket.send(`{"type":"publish","room":${JSON.stringify(this.room)},"ref":${this.refs},"data":${data}}`);
    });
  }
}
