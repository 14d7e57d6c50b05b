// WebSocket clients that keep numbered messages in a ledger: raw mode, and JSON mode that comes back
// with the id of its last message.

import { WebSocket } from 'k6/websockets';
import { Counter, Trend } from 'k6/metrics';

import { headers, wsUrl } from './settings.js';

export const connectTime = new Trend('connect_time', true);
export const connected = new Counter('connected');
export const connectFailures = new Counter('connect_failures');
export const reconnects = new Counter('reconnects');
export const reconnectTime = new Trend('reconnect_time', true);
export const cutOff = new Counter('cut_off');
export const missed = new Counter('missed');

/** The wait before an attempt after one that failed: doubled each time, with jitter, as the SDK does. */
const BACKOFF_MS = 500;
const BACKOFF_DOUBLINGS_MAX = 4;

/** The reference of the command that asks for the room; those of publishes are numbers. */
const SUBSCRIBE = 'subscribe';

/** What raw and JSON clients have in common. */
class Socket {
  constructor(room, ledger, { comeBack = false, onMember = null, onMessage = null, onBack = null } = {}) {
    this.room = room;
    this.ledger = ledger;
    this.comeBack = comeBack;
    this.onMember = onMember;
    this.onMessage = onMessage;
    this.onBack = onBack;
    this.ready = false;
    this.closing = false;
    this.ended = false;
    this.failures = 0;
    // Of the connection that was lost last, until there is another.
    this.loss = null;
    this.connect();
  }

  connect() {
    this.ready = false;
    // Its welcome may be dropped, see JsonSocket.
    this.node = undefined;
    this.begun = Date.now();
    this.delay = null;
    const tags = { name: `/ws ${this.kind}` };
    this.socket = new WebSocket(`${wsUrl}/ws${this.query()}`, this.protocols(), { headers, tags });
    this.socket.addEventListener('open', () => this.opened());
    this.socket.addEventListener('message', (event) => this.received(event.data));
    this.socket.addEventListener('error', () => {});
    this.socket.addEventListener('close', (event) => this.closed(event));
  }

  opened() {
    this.handshakeTook = Date.now() - this.begun;
    if (this.closing) this.socket.close();
  }

  /** The client is a member: from here on nothing may be lost. */
  member() {
    if (this.onMember !== null) this.onMember();
    this.ready = true;
    this.failures = 0;
    if (this.ledger !== null) this.ledger.connectedAt = this.begun;
    connected.add(1);
    connectTime.add(Date.now() - this.begun);
    if (this.loss === null) return;
    reconnects.add(1, { kind: this.kind });
    reconnectTime.add(Date.now() - this.loss.at);
    if (this.onBack !== null) this.onBack(this.loss, Date.now());
    this.loss = null;
  }

  closed(event) {
    const wasReady = this.ready;
    this.ready = false;
    if (this.closing || !this.comeBack) {
      if (!this.closing && !wasReady) connectFailures.add(1);
      this.ended = true;
      return;
    }
    if (wasReady) {
      const announced = event.code === 1012;
      if (!announced) cutOff.add(1, { kind: this.kind });
      this.loss = { at: Date.now(), node: this.node, announced };
    } else {
      connectFailures.add(1);
      this.failures += 1;
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

  take(data) {
    if (this.ledger !== null) this.ledger.take(data);
    if (this.onMessage !== null) this.onMessage(data);
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
    this.member();
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
        if (push.missed) missed.add(1);
        if (this.last === undefined && push.id) this.last = push.id;
        return this.member();
      case 'message':
        if (push.id) this.last = push.id;
        return this.take(push.data);
      case 'reset':
      case 'dropped':
        return missed.add(1);
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
