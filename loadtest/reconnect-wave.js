// All nodes are restarted one after another, as in a deploy, or one is killed, while clients listen: nobody may lose
// a message or get one twice, and those who are asked to leave come back evenly over the drain window.

import { Counter, Trend } from 'k6/metrics';

import { allReady, join, leave, settle } from './lib/members.js';
import { restart } from './lib/nodes.js';
import { newRun, Publisher, stagger } from './lib/publisher.js';
import { run } from './lib/run.js';
import { adminUrls, historyNamespace, number, options as common } from './lib/settings.js';
import { JsonSocket } from './lib/sockets.js';
import { Stream } from './lib/streams.js';
import { summary } from './lib/summary.js';
import { sleep } from './lib/time.js';

const CONNECTIONS = number('CONNECTIONS', 450);
const ROOMS = number('ROOMS', 10);
const RATE = number('RATE', 1);
/** drain.window of the nodes. */
const WINDOW = number('DRAIN_WINDOW_SECONDS', 20);
/**
 * drain: this script asks each node of ADMIN_URLS to drain, one after the other. observe: somebody else ends nodes
 * within SECONDS, as `kubectl rollout restart`, or `run.sh` with KILL=1.
 */
const WAVE = __ENV.WAVE || 'drain';
const SECONDS = number('SECONDS', 60);
const PER_ROOM = Math.floor(CONNECTIONS / ROOMS);
/** Below so many a second the law of small numbers makes peaks. */
const MEAN_MIN = 2;

const peak = new Trend('reconnect_peak_to_mean');
const restarted = new Counter('restarted_nodes');
const spread = new Trend('reconnect_per_second');
const judged = new Counter('judged_nodes');

const expected = WAVE === 'drain'
  ? {
      // Everyone has been on some node, and all nodes have been restarted.
      reconnects: [`count>=${PER_ROOM * ROOMS}`],
      cut_off: ['count==0'],
      connect_failures: ['count==0'],
      restarted_nodes: [`count==${adminUrls.length}`],
      judged_nodes: [`count==${adminUrls.length}`],
      reconnect_peak_to_mean: ['max<=3'],
    }
  : { reconnects: ['count>0'], reconnect_peak_to_mean: ['max<=3'] };

export const options = common('reconnect-wave', 1, 180 + Math.max(SECONDS, (WINDOW + 150) * adminUrls.length), { missed: ['count==0'], ...expected });
export const setup = () => newRun({ history: true });
export const handleSummary = summary('reconnect-wave', `${CONNECTIONS} clients while ${WAVE === 'drain' ? 'all nodes are restarted' : 'nodes end'}`);

export default run(async ({ run: name }) => {
  if (WAVE === 'drain' && adminUrls.length === 0) {
    throw new Error('set ADMIN_URLS to the admin listeners of the nodes, or WAVE=observe');
  }
  const returns = new Map();
  const onBack = (loss, at) => {
    if (loss.announced && loss.node !== undefined) returns.set(loss.node, [...(returns.get(loss.node) || []), at]);
  };
  const rooms = Array.from({ length: ROOMS }, (_, i) => `${historyNamespace}:wave-${name}-${i}`);
  const clients = rooms.flatMap((room, i) => join(PER_ROOM, room, [i], [JsonSocket, Stream], { comeBack: true, onBack }));
  await allReady(clients);
  // Until the wave is over, however long that takes.
  const publishers = rooms.map((room, i) => new Publisher(room, i, { rate: RATE, count: Infinity, wait: stagger(i, ROOMS, RATE) }));
  const publishing = publishers.map((publisher) => publisher.run());
  await sleep(2000);
  if (WAVE === 'drain') await restartAll();
  else await sleep(SECONDS * 1000);
  await allReady(clients);
  publishers.forEach((publisher) => publisher.stop());
  await Promise.all(publishing);
  await settle(clients, Object.fromEntries(publishers.map(({ sender, acknowledged }) => [sender, acknowledged])));
  returns.forEach(judge);
  await leave(clients);
});

async function restartAll() {
  for (const admin of adminUrls) {
    console.log(`${admin} is asked to drain`);
    await restart(admin);
    restarted.add(1);
  }
}

/** How the clients of one node came back: in each second of its window, against the mean. */
function judge(times, node) {
  const begin = Math.min(...times);
  const seconds = new Array(Math.max(WINDOW, Math.floor((Math.max(...times) - begin) / 1000) + 1)).fill(0);
  times.forEach((at) => { seconds[Math.floor((at - begin) / 1000)] += 1; });
  const mean = times.length / WINDOW;
  console.log(`${node}: ${times.length} clients came back, each second: ${seconds.join(' ')}`);
  if (mean < MEAN_MIN) throw new Error(`${node} had ${times.length} clients; more CONNECTIONS are needed to tell how they come back`);
  seconds.forEach((count) => spread.add(count));
  peak.add(Math.max(...seconds) / mean);
  judged.add(1);
}
