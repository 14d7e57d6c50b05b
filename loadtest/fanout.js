// One room with many members, on all nodes: each message to everybody, in order, in time.

import exec from 'k6/execution';

import { Others, ready } from './lib/barrier.js';
import { allReady, join, leave, settle } from './lib/members.js';
import { newRun, Publisher } from './lib/publisher.js';
import { run } from './lib/run.js';
import { number, options as common, plainNamespace } from './lib/settings.js';
import { EVERY_KIND } from './lib/streams.js';
import { summary } from './lib/summary.js';
import { sleep } from './lib/time.js';

const VUS = number('VUS', 2);
const MEMBERS = number('MEMBERS', 500);
const RATE = number('RATE', 5);
const SECONDS = number('SECONDS', 20);
const BYTES = number('BYTES', 128);
const MESSAGES = Math.ceil(RATE * SECONDS);
const EACH = Math.floor(MEMBERS / VUS);

export const options = common('fanout', VUS, 180 + 2 * SECONDS, {
  connect_failures: ['count==0'],
  cut_off: ['count==0'],
  delivered: [`count==${EACH * VUS * MESSAGES}`],
});
export const setup = () => newRun();
export const handleSummary = summary('fanout', `${MESSAGES} messages to ${EACH * VUS} members of one room, ${RATE} a second`);

export default run(async ({ run: name }) => {
  const room = `${plainNamespace}:fanout-${name}`;
  const control = `${plainNamespace}:fanout-${name}-ready`;
  const first = exec.vu.idInTest === 1;
  const others = first ? new Others(control, VUS - 1) : null;
  const clients = join(EACH, room, [1], EVERY_KIND);
  await allReady(clients);
  if (first) {
    await others.wait();
    await new Publisher(room, 1, { rate: RATE, count: MESSAGES, bytes: BYTES }).run();
  } else {
    await ready(control, exec.vu.idInTest, () => clients[0].ledger.received > 0);
    // The first one still publishes; `settle` waits from when the last message is due.
    await sleep(SECONDS * 1000);
  }
  await settle(clients, { 1: MESSAGES });
  await leave(clients);
});
