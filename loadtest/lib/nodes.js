// The nodes behind the load balancer, by their admin listeners.

import http from 'k6/http';

import { adminHeaders, adminUrls } from './settings.js';
import { sleep, until } from './time.js';

/** What an operator gives a node: drain.window, ten seconds, and its start. */
const RESTART_SECONDS = 120;
/** Until load balancers have noticed that a node is ready again; haproxy asks each second. */
const NOTICE_MS = 3000;

const quiet = { timeout: '5s', responseCallback: http.expectedStatuses({ min: 0, max: 599 }) };

async function isReady(admin) {
  const response = await http.asyncRequest('GET', `${admin}/readyz`, null, { ...quiet, tags: { name: 'readyz' } });
  return response.status === 200;
}

/** A number that a node tells on its own admin listener. */
async function metric(admin, name) {
  const response = await http.asyncRequest('GET', `${admin}/metrics`, null, { tags: { name: 'metrics' } });
  const line = new RegExp(`^${name} ([\\d.e+]+)$`, 'm').exec(response.body || '');
  if (line === null) throw new Error(`${admin}/metrics has no ${name}`);
  return Number(line[1]);
}

const START = 'process_start_time_seconds';

/** Asks a node to drain. What runs it, such as Kubernetes or `cargo xtask cluster`, has to start it again. */
export async function restart(admin) {
  const before = await metric(admin, START);
  const response = await http.asyncRequest('POST', `${admin}/drain`, null, {
    ...quiet, headers: adminHeaders, tags: { name: 'drain' },
  });
  if (response.status < 200 || response.status > 299) {
    throw new Error(`${admin}/drain answers ${response.status}: set ADMIN_TOKEN to admin.key, and see ADMIN_URLS`);
  }
  if (!(await until(async () => !(await isReady(admin)), 10))) throw new Error(`${admin} drains, and says that it is ready`);
  if (!(await until(() => isReady(admin), RESTART_SECONDS))) {
    throw new Error(`${admin} has not come back: what runs the nodes must start one again that has ended`);
  }
  if ((await metric(admin, START)) === before) throw new Error(`${admin} is ready again, and is the process that it was`);
  await sleep(NOTICE_MS);
}

/** Resident memory of each node in bytes. */
export const memory = () => Promise.all(adminUrls.map((admin) => metric(admin, 'process_resident_memory_bytes')));
