// What surrounds the body of every script.

import exec from 'k6/execution';
import { Counter } from 'k6/metrics';

/** Users that came to the end; a threshold asks for all of them. */
const finished = new Counter('finished');

/** A script's default function. An error ends the whole run, and says why, instead of leaving open sockets to wait. */
export function run(body) {
  return async (data) => {
    try {
      await body(data);
      finished.add(1);
    } catch (error) {
      exec.test.abort(error.stack || String(error));
    }
  };
}
