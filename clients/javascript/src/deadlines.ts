/** What is to happen when, by wall-clock time: a laptop that has slept finds everything due that became due meanwhile. */

/** Times are milliseconds since 1970. */
export class Deadlines<Name extends string> {
  readonly #at = new Map<Name, number>();
  readonly #now: () => number;
  readonly #changed: () => void;
  #lastNow = 0;

  /** `changed` is called when there is another deadline. */
  constructor(now: () => number, changed: () => void) {
    this.#now = now;
    this.#changed = changed;
  }

  /** Due in so many milliseconds. */
  set(name: Name, delayMs: number): void {
    this.#at.set(name, this.#read() + delayMs);
    this.#changed();
  }

  delete(...names: Name[]): void {
    for (const name of names) this.#at.delete(name);
  }

  has(name: Name): boolean {
    return this.#at.has(name);
  }

  /** Takes out what is due, the earliest first. */
  takeDue(): Name[] {
    const now = this.#read();
    const due = [...this.#at].filter(([, at]) => at <= now).sort(([, a], [, b]) => a - b);
    const names = due.map(([name]) => name);
    this.delete(...names);
    return names;
  }

  /** How long nothing is due, in milliseconds. */
  wait(): number | undefined {
    return this.#at.size ? Math.min(...this.#at.values()) - this.#read() : undefined;
  }

  /** Reads the clock. One that was set back takes all deadlines with it. */
  #read(): number {
    const now = this.#now();
    const back = this.#lastNow - now;
    this.#lastNow = now;
    if (back > 0) for (const [name, at] of this.#at) this.#at.set(name, at - back);
    return now;
  }
}
