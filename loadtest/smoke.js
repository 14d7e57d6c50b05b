// Does everything work at all? One user, a few clients of each kind that k6 itself knows. Needs no extension.

import { check } from 'k6';
import http from 'k6/http';

import { allReady, join, leave, settle } from './lib/members.js';
import { newRun, Publisher } from './lib/publisher.js';
import { run } from './lib/run.js';
import { JsonSocket, RawSocket } from './lib/sockets.js';
import { headers, number, options as common, plainNamespace, url } from './lib/settings.js';
import { summary } from './lib/summary.js';

const MESSAGES = number('MESSAGES', 20);

export const options = common('smoke', 1, 60, { connect_failures: ['count==0'], published: [`count==${MESSAGES}`] });
export const setup = () => newRun();
export const handleSummary = summary('smoke', 'a few clients of each kind, and a few messages');

export default run(async ({ run: name }) => {
  const room = `${plainNamespace}:smoke-${name}`;
  const clients = join(4, room, [1], [RawSocket, JsonSocket]);
  await allReady(clients);
  const polled = poll(room);
  await new Publisher(room, 1, { rate: 20, count: MESSAGES }).run();
  await settle(clients, { 1: MESSAGES });
  check(await polled, { 'a poll gets messages': (count) => count > 0 });
  const answer = await clients[1].publish('{"from":"a client"}');
  check(answer, { 'a client may publish': ({ type }) => type === 'ok' });
  await leave(clients);
  const refused = await http.asyncRequest('POST', `${url}/rooms/not%20a%20room/messages`, 'x', {
    headers, tags: { name: 'bad room' }, responseCallback: http.expectedStatuses(400),
  });
  check(refused, { 'a bad room is refused in a sentence': ({ status, body }) => status === 400 && body.includes('detail') });
});

/** How many messages the first answer has that brings any. */
async function poll(room) {
  for (let attempt = 0; attempt < 10; attempt++) {
    const response = await http.asyncRequest('GET', `${url}/poll?room=${room}&wait=5`, null, { headers, tags: { name: 'poll' } });
    const count = response.status === 200 ? response.json().messages.length : 0;
    if (count > 0) return count;
  }
  return 0;
}
