// What surrounds the body of every script.

import exec from 'k6/execution';
import { Counter } from 'k6/metrics';

import * as client from './client.js';
import * as ledger from './ledger.js';

/** Users that came to the end; a threshold asks for all of them. */
const finished = new Counter('finished');

/** How often counters are told of, also where nothing has happened; as often as Prometheus asks nodes. */
const COUNT_MS = 5000;

function count() {
  ledger.countNothing();
  client.countNothing();
}

/** A script's default function. An error ends the whole run, and says why, instead of leaving open sockets to wait. */
export function run(body) {
  return async (data) => {
    const counting = setInterval(count, COUNT_MS);
    count();
    try {
      await body(data);
      finished.add(1);
    } catch (error) {
      exec.test.abort(error.stack || String(error));
    } finally {
      clearInterval(counting);
    }
  };
}
