// Can the ledger see? Messages are lost, doubled and swapped on purpose, and exactly that must be found.
// Needs neither a server nor the extension.

import { check } from 'k6';

import { compareOrder, Ledger } from './lib/ledger.js';
import { number } from './lib/settings.js';

export const options = {
  thresholds: {
    checks: ['rate==1'],
    // The threshold that all scripts have is 0.
    lost: [`count==${number('LOST', 6)}`],
    duplicated: ['count==3'],
    reordered: ['count==3'],
    delivered: ['count==39'],
  },
};

/** A ledger that was given these numbers by sender 1, after it had published `floor`; how many of `last` are lost. */
function given(numbers, last, floor = 0) {
  const ledger = new Ledger();
  ledger.begin(1, floor);
  numbers.forEach((n) => ledger.take({ s: 1, n, t: Date.now() }));
  return ledger.settle(1, last);
}

export default function selftest() {
  check(null, {
    'nothing happened': () => given([1, 2, 3, 4], 4) === 0,
    'one is missing': () => given([1, 2, 4, 5], 5) === 1,
    'the first is missing': () => given([2, 3], 3) === 1,
    'the last two are missing': () => given([1, 2], 4) === 2,
    'all are missing': () => given([], 2) === 2,
    'one came twice': () => given([1, 2, 2, 3], 3) === 0,
    'one came twice, later': () => given([1, 2, 3, 1], 3) === 0,
    'two are swapped': () => given([1, 3, 2, 4], 4) === 0,
    'what was under way at the beginning may come, once and in order': () => given([2, 3, 4], 4, 3) === 0,
    'it came twice': () => given([3, 3, 4], 4, 3) === 0,
    'it came late': () => given([4, 3, 5], 5, 3) === 0,
  });
  const ledgers = [[1, 2], [1, 2], [2, 1]].map((senders) => {
    const ledger = new Ledger();
    senders.forEach((sender) => ledger.begin(sender));
    senders.forEach((sender) => ledger.take({ s: sender, n: 1, t: Date.now() }));
    return ledger;
  });
  // Of a third sender nothing is expected, and nothing counted.
  ledgers[0].take({ s: 3, n: 1, t: Date.now() });
  compareOrder(ledgers);
  ledgers[0].settle(1, 1);
}
