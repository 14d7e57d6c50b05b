// Rooms in which everybody speaks: each message to all members, its sender too, and one order for all.

import { check } from 'k6';
import exec from 'k6/execution';
import { Trend } from 'k6/metrics';

import { compareOrder, message } from './lib/ledger.js';
import { allReady, join, leave, settle } from './lib/members.js';
import { newRun } from './lib/publisher.js';
import { run } from './lib/run.js';
import { number, options as common, plainNamespace } from './lib/settings.js';
import { JsonSocket } from './lib/sockets.js';
import { summary } from './lib/summary.js';
import { paced, sleep } from './lib/time.js';

const ROOMS = number('ROOMS', 4);
const MEMBERS = number('MEMBERS', 25);
const RATE = number('RATE', 0.5);
const SECONDS = number('SECONDS', 20);
const MESSAGES = Math.max(1, Math.floor(RATE * SECONDS));

const acknowledged = new Trend('publish_ok_time', true);

export const options = common('chat', ROOMS, 180 + 2 * SECONDS, {
  connect_failures: ['count==0'],
  cut_off: ['count==0'],
  delivered: [`count==${ROOMS * MEMBERS * MEMBERS * MESSAGES}`],
  publish_ok_time: [`p(95)<${number('PUBLISH_P95_MS', 250)}`],
});
export const setup = () => newRun();
export const handleSummary = summary('chat', `${ROOMS} rooms of ${MEMBERS} who all speak, each ${RATE} times a second`);

export default run(async ({ run: name }) => {
  const room = `${plainNamespace}:chat-${name}-${exec.vu.idInTest}`;
  const senders = Array.from({ length: MEMBERS }, (_, i) => i + 1);
  const clients = join(MEMBERS, room, senders, [JsonSocket]);
  await allReady(clients);
  await Promise.all(clients.map((client, i) => speak(client, senders[i])));
  await settle(clients, Object.fromEntries(senders.map((sender) => [sender, MESSAGES])));
  compareOrder(clients.map(({ ledger }) => ledger));
  await leave(clients);
});

async function speak(client, sender) {
  // People do not speak all at the same moment.
  await sleep((Math.random() * 1000) / RATE);
  await paced(1, MESSAGES, RATE, async (n, due) => {
    const answer = await client.publish(message(sender, n, due));
    check(answer, { 'a publish is answered with ok': ({ type }) => type === 'ok' });
    acknowledged.add(Date.now() - due);
  });
}
