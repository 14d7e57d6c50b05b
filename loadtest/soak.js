// Everything at once and gently, for as long as one likes: clients of all kinds that come and go, steady messages,
// and an eye on the memory of the nodes.

import { check } from 'k6';
import exec from 'k6/execution';
import { Trend } from 'k6/metrics';

import { Ledger } from './lib/ledger.js';
import { allReady, join, leave, settle } from './lib/members.js';
import { memory } from './lib/nodes.js';
import { newRun, Publisher } from './lib/publisher.js';
import { run } from './lib/run.js';
import { adminUrls, historyNamespace, number, options as common } from './lib/settings.js';
import { EVERY_KIND } from './lib/streams.js';
import { summary } from './lib/summary.js';
import { sleep, until } from './lib/time.js';

const VUS = number('VUS', 2);
const CONNECTIONS = number('CONNECTIONS', 300);
const SECONDS = number('SECONDS', 60);
const RATE = number('RATE', 4);
/** Clients that go each second, and as many that come. */
const CHURN = number('CHURN', 4);
/** Of how many messages one latency is kept: each takes memory until the end. */
const SAMPLE_EVERY = number('SAMPLE_EVERY', 10);
const PER_VU = Math.floor(CONNECTIONS / VUS);

const growth = new Trend('node_memory_growth');
const bytes = new Trend('node_memory_mib');

export const options = common('soak', VUS, 180 + 2 * SECONDS, {
  connect_failures: ['count==0'],
  cut_off: ['count==0'],
  missed: ['count==0'],
  ...(adminUrls.length > 0 ? { node_memory_growth: [`max<${number('MEMORY_GROWTH_MAX', 1.5)}`] } : {}),
});
export const setup = () => newRun({ history: true });
export const handleSummary = summary('soak', `${CONNECTIONS} clients, ${CHURN * VUS} of them replaced each second, for ${SECONDS} s`);

export default run(async ({ run: name }) => {
  const room = `${historyNamespace}:soak-${name}-${exec.vu.idInTest}`;
  const publisher = new Publisher(room, 1, { rate: RATE, count: Infinity });
  let clients = join(PER_VU, room, [1], EVERY_KIND, { sampleEvery: SAMPLE_EVERY });
  const left = [];
  await allReady(clients);
  const before = await weigh();
  const publishing = publisher.run();
  const end = Date.now() + SECONDS * 1000;
  while (Date.now() < end) {
    clients = await change(clients, left, room, publisher);
    await sleep(1000);
  }
  publisher.stop();
  await publishing;
  await settle(clients, { 1: publisher.acknowledged });
  (await weigh()).forEach((after, i) => growth.add(after / before[i]));
  await leave(clients);
  check(left, { 'those who went are gone': (gone) => gone.every(({ ended }) => ended) });
});

/** The oldest go, newcomers take their places. A newcomer must get what is published from when it is a member. */
async function change(clients, left, room, publisher) {
  const going = clients.slice(0, CHURN);
  // Nobody who goes has a gap; what is on its way when it goes is not for it.
  going.forEach(({ ledger }) => ledger.settle(1));
  going.forEach((client) => client.close());
  const coming = going.map((_, i) => newcomer(EVERY_KIND[i % EVERY_KIND.length], room, publisher));
  const came = await until(() => coming.every(({ ready }) => ready), 30);
  check(came, { 'newcomers become members': () => came });
  // Only the last ones are kept, so that an endless test needs no endless memory.
  left.splice(0, left.length, ...left.filter(({ ended }) => !ended), ...going);
  return [...clients.slice(CHURN), ...coming];
}

function newcomer(Kind, room, publisher) {
  const ledger = new Ledger(SAMPLE_EVERY);
  return new Kind(room, ledger, { onMember: () => ledger.begin(1, publisher.begun) });
}

async function weigh() {
  const all = await memory();
  all.forEach((one) => bytes.add(one / 1048576));
  return all;
}
