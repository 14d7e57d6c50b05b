// Groups of clients of several kinds.

import { check } from 'k6';

import { Ledger } from './ledger.js';
import { until } from './time.js';

/** How long clients may take to become members, to get what is on its way, and to leave, in seconds. */
const CONNECT_SECONDS = 60;
const ARRIVE_SECONDS = 30;
const LEAVE_SECONDS = 15;

/** `count` clients in a room, of the kinds in turn, whose ledgers expect all messages of these senders. */
export function join(count, room, senders, kinds, { sampleEvery = 1, ...settings } = {}) {
  return Array.from({ length: count }, (_, i) => {
    const ledger = new Ledger(sampleEvery);
    senders.forEach((sender) => ledger.begin(sender));
    return new kinds[i % kinds.length](room, ledger, settings);
  });
}

export async function allReady(clients) {
  const ready = await until(() => clients.every((client) => client.ready), CONNECT_SECONDS);
  check(ready, { 'all clients become members': () => ready });
  return ready;
}

/** Waits for the last messages, then counts what has not come. `last` tells of each sender how many there were. */
export async function settle(clients, last) {
  const entries = Object.entries(last).map(([sender, count]) => [Number(sender), count]);
  const complete = ({ ledger }) => entries.every(([sender, count]) => !ledger.senders.has(sender) || ledger.has(sender, count));
  await until(() => clients.every(complete), ARRIVE_SECONDS);
  for (const client of clients) {
    for (const [sender, count] of entries) {
      if (!client.ledger.senders.has(sender)) continue;
      const lost = client.ledger.settle(sender, count);
      if (lost > 0) console.error(`${client.room}: a ${client.kind} client has lost ${lost} of ${count}`);
    }
  }
}

export async function leave(clients) {
  clients.forEach((client) => client.close());
  const left = await until(() => clients.every((client) => client.ended), LEAVE_SECONDS);
  check(left, { 'all clients leave': () => left });
}
