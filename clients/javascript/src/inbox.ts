/** Messages that wait for a `for await`. */

import type { RoomcastError } from "./error.js";
import type { Message } from "./types.js";

/** How many messages may wait. One more ends the iteration with an error, because it is missing. */
export const UNREAD_MAX = 10_000;

export class Inbox<T> {
  readonly #messages: Message<T>[] = [];
  #error: RoomcastError | undefined;
  #isOver = false;
  #wake = () => {};

  /** Takes a message; whether there was room for it. */
  push(message: Message<T>): boolean {
    if (this.#messages.length >= UNREAD_MAX) return false;
    this.#messages.push(message);
    this.#wake();
    return true;
  }

  /** Nothing more comes; an error comes behind the last message. */
  end(error?: RoomcastError): void {
    this.#error = error;
    this.#isOver = true;
    this.#wake();
  }

  async *read(): AsyncGenerator<Message<T>, void, void> {
    for (;;) {
      const message = this.#messages.shift();
      if (message) yield message;
      else if (this.#error) throw this.#error;
      else if (this.#isOver) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
