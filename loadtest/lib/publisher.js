// Publishing by HTTP, with the same key again where there was no answer: so nothing is doubled.

import http from 'k6/http';
import { Counter } from 'k6/metrics';

import { message } from './ledger.js';
import { headers, historyNamespace, url } from './settings.js';
import { paced, sleep } from './time.js';

const published = new Counter('published');
const retries = new Counter('publish_retries');

/** Half a minute of attempts outlasts a node that ends, and a short outage of Redis. */
const ATTEMPTS_MAX = 60;
const RETRY_MS = 500;

// What a restart may answer is repeated, and counted as publish_retries and not as a failure.
const repeatable = http.expectedStatuses(202, 502, 503, 504);

/** Publishes text to a room; the id, null without history. Throws where it cannot be done. */
export async function publish(room, text, key) {
  for (let attempt = 1; ; attempt++) {
    const response = await http.asyncRequest('POST', `${url}/rooms/${room}/messages`, text, {
      headers: { ...headers, 'Content-Type': 'application/json', 'Idempotency-Key': key },
      tags: { name: 'publish' },
      timeout: '10s',
      responseCallback: repeatable,
    });
    if (response.status === 202) {
      published.add(1);
      return response.json().id;
    }
    if (attempt === ATTEMPTS_MAX || (response.status >= 400 && response.status < 500)) {
      throw new Error(`publishing to ${room} ended with ${response.status} ${response.error}: ${response.body}`);
    }
    retries.add(1);
    await sleep(RETRY_MS);
  }
}

/** The wait of the i-th of `count` publishers in milliseconds, so that they do not all speak at the same moment. */
export const stagger = (i, count, rate) => (i * 1000) / rate / count;

/** A sender of numbered messages to one room, one after the other, from `wait` milliseconds on. */
export class Publisher {
  constructor(room, sender, { rate, count, bytes = 0, wait = 0 }) {
    Object.assign(this, { room, sender, rate, count, wait });
    this.pad = 'x'.repeat(bytes);
    // Sent, or about to be; and taken by the broker.
    this.begun = 0;
    this.acknowledged = 0;
    this.stopped = false;
  }

  /** Sends messages 1 … count at the rate, or fewer where it is stopped. */
  async run() {
    await sleep(this.wait);
    await paced(1, this.count, this.rate, async (n, due) => {
      if (this.stopped) return false;
      this.begun = n;
      this.id = await publish(this.room, message(this.sender, n, due, this.pad), `${this.room}/${this.sender}/${n}`);
      this.acknowledged = n;
    });
  }

  stop() { this.stopped = true; }
}

/** In setup(): a name for this run, and the refusal to begin where rooms keep no history. */
export async function newRun({ history = false } = {}) {
  const run = Date.now().toString(36);
  if (history) {
    const room = `${historyNamespace}:${run}`;
    if ((await publish(room, '"hello"', `${run}/hello`)) === null) {
      throw new Error(
        `rooms of the namespace ${historyNamespace} keep no history: set namespaces.${historyNamespace}.history = 2000, ` +
          'or HISTORY_NAMESPACE to one that does',
      );
    }
  }
  return { run };
}
