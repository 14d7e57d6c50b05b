// Event streams that are cut all the time, as on a phone in a train, while messages go on: EventSource comes
// back by itself with Last-Event-ID, to whichever node, and gets exactly what it has missed.

import exec from 'k6/execution';
import { Counter } from 'k6/metrics';

import { allReady, join, leave, settle } from './lib/members.js';
import { newRun, Publisher, stagger } from './lib/publisher.js';
import { run } from './lib/run.js';
import { historyNamespace, number, options as common } from './lib/settings.js';
import { Stream } from './lib/streams.js';
import { summary } from './lib/summary.js';
import { sleep, until } from './lib/time.js';

const VUS = number('VUS', 2);
const STREAMS = number('STREAMS', 300);
const ROOMS = number('ROOMS', 4);
const RATE = number('RATE', 2);
const SECONDS = number('SECONDS', 30);
const CUT_EVERY = number('CUT_EVERY_SECONDS', 8);
const MESSAGES = Math.ceil(RATE * SECONDS);
const PER_ROOM = Math.floor(STREAMS / VUS / ROOMS);

const cuts = new Counter('cuts');
const notResumed = new Counter('not_resumed');

export const options = common('sse-resume', VUS, 180 + 2 * SECONDS, {
  connect_failures: ['count==0'],
  cut_off: ['count==0'],
  missed: ['count==0'],
  not_resumed: ['count==0'],
  cuts: [`count>=${VUS * ROOMS * PER_ROOM}`],
  delivered: [`count==${VUS * ROOMS * PER_ROOM * MESSAGES}`],
});
export const setup = () => newRun({ history: true });
export const handleSummary = summary('sse-resume', `${STREAMS} streams, each cut about every ${CUT_EVERY} seconds`);

export default run(async ({ run: name }) => {
  const rooms = Array.from({ length: ROOMS }, (_, i) => `${historyNamespace}:resume-${name}-${exec.vu.idInTest}-${i}`);
  const streams = rooms.flatMap((room, i) => join(PER_ROOM, room, [i], [Stream]));
  await allReady(streams);
  const end = Date.now() + SECONDS * 1000;
  const cutting = streams.map((stream) => cutAgainAndAgain(stream, end));
  const publishers = rooms.map((room, i) => new Publisher(room, i, { rate: RATE, count: MESSAGES, wait: stagger(i, ROOMS, RATE) }));
  await Promise.all(publishers.map((publisher) => publisher.run()));
  const counts = await Promise.all(cutting);
  await until(() => streams.every(({ ready }) => ready), 30);
  await settle(streams, Object.fromEntries(rooms.map((_, i) => [i, MESSAGES])));
  streams.forEach((stream, i) => notResumed.add(counts[i] - stream.resumptions));
  await leave(streams);
});

/** Each stream at its own moments; a stream that is away is not cut again. The number of cuts. */
async function cutAgainAndAgain(stream, end) {
  let count = 0;
  for (;;) {
    await sleep(CUT_EVERY * 1000 * (0.5 + Math.random()));
    if (Date.now() > end) return count;
    if (!stream.ready) continue;
    stream.cut();
    cuts.add(1);
    count += 1;
    await until(() => stream.loss !== null || !stream.ready, 10);
  }
}
