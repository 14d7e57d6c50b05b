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
 * Calls `act(n, due)` for n = first … last, `rate` times a second, one after the other: what takes longer delays the next.
 * `due` is when it should have been called, in milliseconds: latencies are counted from there, so that a server that
 * stalls its sender does not hide what that costs. Ends early where `act` answers false.
 */
export async function paced(first, last, rate, act) {
  const begin = Date.now();
  for (let n = first; n <= last; n++) {
    const due = Math.round(begin + ((n - first) * 1000) / rate);
    await sleep(due - Date.now());
    if ((await act(n, due)) === false) return;
  }
}
