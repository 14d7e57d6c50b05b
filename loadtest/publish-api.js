// Publishing by HTTP: answered in time, each message delivered once, the same key never twice.

import { check } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';

import { message } from './lib/ledger.js';
import { allReady, join, leave, settle } from './lib/members.js';
import { newRun, publish } from './lib/publisher.js';
import { run } from './lib/run.js';
import { adminHeaders, adminUrls, historyNamespace, number, options as common } from './lib/settings.js';
import { JsonSocket } from './lib/sockets.js';
import { summary } from './lib/summary.js';
import { paced } from './lib/time.js';

const VUS = number('VUS', 10);
const RATE = number('RATE', 10);
const SECONDS = number('SECONDS', 20);
const BYTES = number('BYTES', 256);
/** Of how many messages one is sent again with its key. */
const REPEAT_EVERY = number('REPEAT_EVERY', 10);
const MESSAGES = Math.ceil(RATE * SECONDS);

export const options = common('publish-api', VUS, 120 + 2 * SECONDS, {
  connect_failures: ['count==0'],
  http_req_failed: ['rate==0'],
  publish_retries: ['count==0'],
  'http_req_duration{name:publish}': [`p(95)<${number('PUBLISH_P95_MS', 250)}`],
  delivered: [`count==${VUS * (MESSAGES + (adminUrls.length > 0 ? 1 : 0))}`],
});
export const setup = () => newRun({ history: true });
export const handleSummary = summary('publish-api', `${VUS} publishers, each ${RATE} messages a second over HTTP`);

export default run(async ({ run: name }) => {
  const room = `${historyNamespace}:publish-${name}-${exec.vu.idInTest}`;
  const pad = 'x'.repeat(BYTES);
  const clients = join(1, room, [1, 2], [JsonSocket]);
  await allReady(clients);
  let before = null;
  await paced(1, MESSAGES, RATE, async (n, due) => {
    const text = message(1, n, due, pad);
    const id = await publish(room, text, `${room}/${n}`);
    check(id, { 'ids are contiguous': () => before === null || follows(before, id) });
    before = id;
    if (n % REPEAT_EVERY !== 0) return;
    const again = await publish(room, text, `${room}/${n}`);
    check(again, { 'the same key has the same id': () => again === id });
  });
  const byAdmin = adminUrls.length > 0 ? 1 : 0;
  if (byAdmin) await publishByAdmin(room);
  await settle(clients, { 1: MESSAGES, 2: byAdmin });
  await leave(clients);
});

/** Whether the second id, `<epoch>-<offset>`, is the one after the first. */
function follows(first, second) {
  const [epoch, offset] = first.split('-').map(Number);
  const [otherEpoch, otherOffset] = second.split('-').map(Number);
  return epoch === otherEpoch && otherOffset === offset + 1;
}

async function publishByAdmin(room) {
  const body = JSON.stringify({ rooms: [room], data: JSON.parse(message(2, 1, Date.now())) });
  const answer = await http.asyncRequest('POST', `${adminUrls[0]}/api/publish`, body, {
    headers: { ...adminHeaders, 'Content-Type': 'application/json' }, tags: { name: 'admin publish' },
  });
  check(answer, { 'the admin API publishes': ({ status }) => status >= 200 && status < 300 });
}
