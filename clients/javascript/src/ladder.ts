/** Which transport is tried next. */

/** A pure value: transports are numbers, 0 the one that is wished for. */
export class Ladder {
  readonly #count: number;
  /** What a pass begins with: the one that worked last. */
  #preferred = 0;
  /** In this pass. */
  #tried = 0;

  constructor(count: number) {
    this.#count = count;
  }

  /** Begins a pass; gives what is tried first. */
  begin(): number {
    this.#tried = 1;
    return this.#preferred;
  }

  /** The last one did not open; gives the next, or nothing when all have been tried. */
  next(): number | undefined {
    if (this.#tried >= this.#count) return undefined;
    return (this.#preferred + this.#tried++) % this.#count;
  }

  /** This one has opened. */
  opened(transport: number): void {
    this.#preferred = transport;
  }

  /** This one opens, and then nothing comes through it, as behind a proxy that buffers. */
  avoid(transport: number): void {
    this.#preferred = (transport + 1) % this.#count;
  }

  /** Whether something better is worth another try. */
  get isLow(): boolean {
    return this.#preferred > 0;
  }
}
