// Many clients come at the same moment, get a few messages, leave at the same moment, and come again.

import exec from 'k6/execution';

import { allReady, join, leave, settle } from './lib/members.js';
import { newRun, Publisher } from './lib/publisher.js';
import { run } from './lib/run.js';
import { number, options as common, plainNamespace } from './lib/settings.js';
import { EVERY_KIND } from './lib/streams.js';
import { summary } from './lib/summary.js';

const VUS = number('VUS', 4);
const CONNECTIONS = number('CONNECTIONS', 800);
const ROUNDS = number('ROUNDS', 2);
const MESSAGES = number('MESSAGES', 5);
const EACH = Math.floor(CONNECTIONS / VUS);

export const options = common('connect-storm', VUS, 60 + 120 * ROUNDS, {
  connect_failures: ['count==0'],
  connected: [`count==${EACH * VUS * ROUNDS}`],
  connect_time: [`p(95)<${number('CONNECT_P95_MS', 5000)}`],
  delivered: [`count==${EACH * VUS * ROUNDS * MESSAGES}`],
  cut_off: ['count==0'],
  // The first messages come while others are still on their way in.
  delivery_latency: [`p(95)<${number('LATENCY_P95_MS', 1000)}`],
});
export const setup = () => newRun();
export const handleSummary = summary('connect-storm', `${CONNECTIONS} clients come at once, ${ROUNDS} times`);

export default run(async ({ run: name }) => {
  for (let round = 1; round <= ROUNDS; round++) {
    const room = `${plainNamespace}:storm-${name}-${exec.vu.idInTest}-${round}`;
    const clients = join(EACH, room, [1], EVERY_KIND);
    await allReady(clients);
    await new Publisher(room, 1, { rate: 5, count: MESSAGES }).run();
    await settle(clients, { 1: MESSAGES });
    await leave(clients);
  }
});
