// Waiting, always with a limit.

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, Math.max(0, milliseconds)));

/** Waits until a condition holds; false where it does not within `seconds`. */
export async function until(condition, seconds) {
  const end = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > end) return false;
    await sleep(50);
  }
  return true;
}

/**
 * Calls `act(n)` for n = first … last, `rate` times a second, one after the other: what takes longer delays the next.
 * Ends early where `act` answers false.
 */
export async function paced(first, last, rate, act) {
  const begin = Date.now();
  for (let n = first; n <= last; n++) {
    await sleep(begin + ((n - first) * 1000) / rate - Date.now());
    if ((await act(n)) === false) return;
  }
}
