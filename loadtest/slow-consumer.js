// Some clients stop reading. The others must not notice; the slow ones are closed, come back with their
// cursor when they read again, and get the rest from history.

import { check } from 'k6';
import { Counter } from 'k6/metrics';

import { allReady, join, leave, settle } from './lib/members.js';
import { newRun, Publisher } from './lib/publisher.js';
import { run } from './lib/run.js';
import { historyNamespace, number, options as common } from './lib/settings.js';
import { JsonSocket } from './lib/sockets.js';
import { Stream } from './lib/streams.js';
import { summary } from './lib/summary.js';
import { sleep, until } from './lib/time.js';

const FAST = number('FAST', 20);
const SLOW = number('SLOW', 5);
const RATE = number('RATE', 20);
/** JSON and base64 make a message longer; the default limit is 64 KiB. */
const BYTES = number('BYTES', 32768);
/** Sockets and a proxy on the way hold megabytes before the gateway notices that nobody reads. */
const SECONDS = number('SECONDS', 30);
const MESSAGES = Math.ceil(RATE * SECONDS);

const closedAsSlow = new Counter('closed_as_slow');

export const options = common('slow-consumer', 1, 180 + 3 * SECONDS, {
  connect_failures: ['count==0'],
  missed: ['count==0'],
  closed_as_slow: [`count>=${SLOW}`],
  // Nobody but the slow ones is cut off.
  'cut_off{kind:json}': ['count==0'],
  delivered: [`count==${(FAST + SLOW) * MESSAGES}`],
});
export const setup = () => newRun({ history: true });
export const handleSummary = summary('slow-consumer', `${SLOW} of ${FAST + SLOW} clients stop reading`);

export default run(async ({ run: name }) => {
  const room = `${historyNamespace}:slow-${name}`;
  const fast = join(FAST, room, [1], [JsonSocket]);
  const sleepers = join(SLOW, room, [1], [Stream]);
  // Their latency is that of their sleep: it says nothing about the server.
  sleepers.forEach(({ ledger }) => { ledger.sampleEvery = Infinity; });
  await allReady([...fast, ...sleepers]);
  const publishing = new Publisher(room, 1, { rate: RATE, count: MESSAGES, bytes: BYTES }).run();
  await sleep(1000);
  sleepers.forEach(({ source }) => source.pause());
  await publishing;
  const kept = fast.every(({ ready }) => ready);
  check(kept, { 'those who read stay': () => kept });
  sleepers.forEach(({ source }) => source.resume());
  // They read what was on its way, find the end of the stream, and come back.
  await until(() => sleepers.every(({ resumptions, ready }) => resumptions > 0 && ready), 60);
  sleepers.forEach(({ resumptions }) => closedAsSlow.add(resumptions));
  await settle([...fast, ...sleepers], { 1: MESSAGES });
  await leave([...fast, ...sleepers]);
});
