/** Listeners by the name of the event. */

export class Listeners<Events extends object> {
  readonly #all = new Map<keyof Events, Set<(value: any) => void>>();

  /** Adds a listener; gives what removes it. */
  on<Name extends keyof Events>(name: Name, listener: (value: Events[Name]) => void): () => void {
    const listeners = this.#all.get(name) ?? new Set();
    this.#all.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /** @internal */
  has(name: keyof Events): boolean {
    return !!this.#all.get(name)?.size;
  }

  /** @internal Tells everybody; an exception of one does not keep it from the others, and is reported. */
  tell<Name extends keyof Events>(name: Name, value: Events[Name]): void {
    for (const listener of this.#all.get(name) ?? []) {
      try {
        listener(value);
      } catch (error) {
        report(error);
      }
    }
  }
}

/** Where nobody could overlook it: as an exception that nobody caught, which goes to `window.onerror`; in Node.js on standard error. */
export function report(error: unknown): void {
  const { reportError = console.error } = globalThis as { reportError?: (error: unknown) => void };
  reportError(error);
}
