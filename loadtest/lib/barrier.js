// Virtual users share no memory. Where they share a room, they agree by messages when to begin.

import { check } from 'k6';

import { publish } from './publisher.js';
import { RawSocket } from './sockets.js';
import { sleep, until } from './time.js';

/** How often a user says again that it is ready, and how long the first one waits for all. */
const REPEAT_MS = 500;
const WAIT_SECONDS = 60;

/** For the user that publishes: waits until the others are ready. Begin listening before they can speak. */
export class Others {
  constructor(room, count) {
    this.ready = new Set();
    this.count = count;
    this.socket = new RawSocket(room, null, { onMessage: ({ ready }) => this.ready.add(ready) });
  }

  async wait() {
    const all = await until(() => this.ready.size >= this.count, WAIT_SECONDS);
    check(all, { 'all users are ready': () => all });
    this.socket.close();
  }
}

/** For each of the others: says that it is ready until what it waits for begins. */
export async function ready(room, me, begun) {
  for (let attempt = 0; !begun() && attempt * REPEAT_MS < 2 * WAIT_SECONDS * 1000; attempt++) {
    await publish(room, JSON.stringify({ ready: me }), `${room}/${me}/${attempt}`);
    await sleep(REPEAT_MS);
  }
}
