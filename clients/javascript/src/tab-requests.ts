/** What a tab has asked of a shared connection, and has got: enough to ask another worker for the rest when the first is gone. */

import { REPEAT_MS_MAX, type Publication } from "./outbox.js";
import type { Emit, Notices, Port, Ref } from "./port.js";

interface AskedRoom {
  /** The last message, or where the room began. */
  id: string | undefined;
  watch: boolean;
  isLeft: boolean;
  hasBegun: boolean;
  /** Messages have no ids: what came while there was no worker is missing. */
  isMissing: boolean;
}

interface Waiting {
  sinceMs: number;
  ask(core: Port): void;
}

/** Asks whichever core is attached. */
export class TabRequests implements Port {
  readonly #emit: Emit;
  readonly #rooms = new Map<string, AskedRoom>();
  /** In the order in which they were asked. */
  readonly #waiting = new Map<Ref, Waiting>();
  #core: Port | undefined;
  #isClosing = false;
  /** The connection has ended for good. */
  isOver = false;

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  /** Asks this one from now on, for everything that is still to be had. */
  attach(core: Port): void {
    const isFirst = !this.#core;
    this.#core = core;
    if (isFirst) return;
    this.#emit("status", { state: "connecting" });
    for (const [name, room] of this.#rooms) {
      room.isMissing = room.hasBegun && !room.id;
      core.join(name, room.id, room.watch);
      if (room.isLeft) core.leave(name);
    }
    for (const [ref, { sinceMs, ask }] of [...this.#waiting]) {
      if (Date.now() - sinceMs <= REPEAT_MS_MAX) ask(core);
      else this.take("answer", { ref, failure: { code: "uncertain", message: "no answer: it may have been published" } });
    }
    if (this.#isClosing) core.close();
  }

  join(name: string, after?: string, watch = false): void {
    const room = this.#rooms.get(name) ?? { id: after, watch, isLeft: false, hasBegun: false, isMissing: false };
    room.watch ||= watch;
    room.isLeft = false;
    this.#rooms.set(name, room);
    this.#core?.join(name, after, watch);
  }

  leave(name: string): void {
    const room = this.#rooms.get(name);
    if (room) room.isLeft = true;
    this.#core?.leave(name);
  }

  publish(item: Publication): void {
    this.#ask(item.ref, (core) => core.publish(item));
  }

  get(ref: Ref, path: string): void {
    this.#ask(ref, (core) => core.get(ref, path));
  }

  close(): void {
    this.#isClosing = true;
    this.#core?.close();
  }

  #ask(ref: Ref, ask: Waiting["ask"]): void {
    this.#waiting.set(ref, { sinceMs: Date.now(), ask });
    if (this.#core) ask(this.#core);
  }

  /** The core tells something. */
  take<Name extends keyof Notices>(name: Name, value: Notices[Name]): void {
    if (name === "answer") this.#waiting.delete((value as Notices["answer"]).ref);
    if (name === "closed") this.isOver = true;
    if (name === "left") this.#rooms.delete((value as Notices["left"]).room);
    if (name === "joined") this.#begun(value as Notices["joined"]);
    if (name === "message") {
      const { room, id } = value as Notices["message"];
      const asked = this.#rooms.get(room);
      if (asked && id) asked.id = id;
    }
    this.#emit(name, value);
  }

  /** The personal room comes without asking. */
  #begun({ room: name, id }: Notices["joined"]): void {
    const room = this.#rooms.get(name);
    if (room?.isMissing) this.#emit("missed", { room: name, cause: "no_history" });
    this.#rooms.set(name, { watch: false, isLeft: false, ...room, id, hasBegun: true, isMissing: false });
  }
}
