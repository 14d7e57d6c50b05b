/** What is said over links: rooms joined anew on each, messages sent until they are answered, and what the program is told. */

import { fullJitter } from "./backoff.js";
import type { Deadline, Environment, Settings, Slot } from "./connection.js";
import type { Deadlines } from "./deadlines.js";
import type { ErrorCode, Missed } from "./error.js";
import { toBase64, toMessage, type Frame, type Member } from "./frame.js";
import { Outbox, sizeOf, type Publication } from "./outbox.js";
import type { Emit, Failure, Ref } from "./port.js";
import { RoomTable, type RoomState } from "./room-table.js";
import type { Change } from "./roster.js";
import { UNAVAILABLE, UNREACHABLE, type End } from "./transport.js";

/** Messages on their way at once, over one WebSocket. */
const WINDOW = 32;
/** The same over HTTP, where requests would overtake each other. */
const WINDOW_HTTP = 1;
/** How often members are read where the gateway cannot tell who comes and goes, in milliseconds. */
const ROSTER_MS = 15_000;

/** Whose conversation it is. */
export interface Host {
  readonly env: Environment;
  readonly settings: Settings;
  readonly deadlines: Deadlines<Deadline>;
  readonly emit: Emit;
  /** The link has to end. */
  end(slot: Slot, end: End): void;
  /** The gateway has let the client in. */
  proved(): void;
}

type ErrorFrame = Frame & { type: "error" };

/** What is done with the answer to a command; answers are `ok`, `subscribed`, `unsubscribed` or `error`. */
type OnAnswer = (answer: Frame) => void;

export class Conversation {
  readonly rooms = new RoomTable();
  readonly #host: Host;
  readonly #outbox: Outbox;
  readonly #pending = new Map<number, OnAnswer>();
  #slot: Slot | undefined;
  #token: string | undefined;
  #lastRef = 0;
  /** Why nothing more is sent. */
  #ended: Failure | undefined;
  /** Publishes in a row that the gateway could not take. */
  #refused = 0;

  constructor(host: Host) {
    this.#host = host;
    this.#outbox = new Outbox(host.settings);
  }

  /** A link has opened. */
  begin(slot: Slot, token: string | undefined): void {
    this.#slot = slot;
    this.#token = token;
    if (!slot.link.send) {
      this.#host.deadlines.set("roster", 0);
      // Some may have been asked for while it opened.
      if (this.rooms.wanted().some((room) => !slot.rooms.includes(room))) this.#host.deadlines.set("reopen", 0);
    } else {
      // Commands are carried out in order. The personal room is entered with the token.
      if (token) this.#send({ type: "auth", token }, (answer) => this.#authAnswered(slot, answer));
      this.#subscribeAll((room) => !token || !isPersonal(room.name));
    }
    if (!token && !this.rooms.wanted().length) this.#host.proved();
    this.flush();
  }

  /** The link has ended: what was on its way may have arrived or not. */
  lose(): void {
    this.#slot = undefined;
    this.#pending.clear();
    this.rooms.leaveAll();
    this.#outbox.retry();
  }

  /** For good. */
  stop(failure: Failure): void {
    this.#ended = failure;
    this.#outbox.takeAll().forEach((item) => this.#answer(item, undefined, failure));
  }

  /** The link is about to end. A gateway closes one for a message that is too large; sent again it would close again. */
  blame({ code, reason }: End): void {
    if (code !== 1009) return;
    const [largest] = this.#outbox.inFlight().sort((a, b) => sizeOf(b) - sizeOf(a));
    if (largest) this.#answer(largest, undefined, { code: "too_large", message: reason });
  }

  expire(): void {
    const failure: Failure = { code: "uncertain", message: "no answer: it may have been published" };
    this.#outbox.expired(this.#host.env.now()).forEach((item) => this.#answer(item, undefined, failure));
  }

  publish(item: Publication): void {
    if (this.#ended) return this.#answer(item, undefined, this.#ended);
    if (this.#outbox.add(item)) return this.flush();
    this.#answer(item, undefined, { code: "queue_full", message: "the queue is full" });
  }

  /** Sends what may be sent now. */
  flush(): void {
    const slot = this.#slot;
    if (!slot || this.#host.deadlines.has("outbox")) return;
    const [window, publish] = slot.link.send ? [WINDOW, this.#publishSocket] : [WINDOW_HTTP, this.#publishHttp];
    for (;;) {
      const item = this.#outbox.next(this.#host.env.now(), window);
      if (!item) return;
      publish.call(this, item, slot);
    }
  }

  #publishSocket(item: Publication): void {
    const { json, bytes, ...rest } = item;
    const head = { type: "publish", ...rest, ...(bytes && { base64: toBase64(bytes) }) };
    const answered: OnAnswer = (answer) => {
      if (answer.type === "ok") this.#published(item, answer.id);
      else this.#notPublished(item, failureOf(answer));
    };
    this.#send(head, answered, json);
  }

  #publishHttp(item: Publication, slot: Slot): void {
    this.#host.env.publish(item, this.#token).then(
      ({ id }) => this.#published(item, id),
      (error: Failure) => {
        if (error.code !== "unauthorized" || !this.#token) return this.#notPublished(item, error);
        // The token has ended. The item goes with the next link, if there is a fresh one; perhaps it has gone already.
        if (slot === this.#slot) this.#host.end(slot, { code: 4401, reason: error.message });
      },
    );
  }

  #published(item: Publication, id: string | undefined): void {
    this.#refused = 0;
    this.#answer(item, id ? { id } : {});
    this.flush();
  }

  #answer(item: Publication, result: unknown, failure?: Failure): void {
    this.#outbox.settle(item);
    this.#host.emit("answer", { ref: item.ref, result, failure });
  }

  #notPublished(item: Publication, failure: Failure): void {
    if (failure.code !== "unavailable" && failure.code !== "rate_limited") {
      this.#answer(item, undefined, failure);
      return this.flush();
    }
    this.#outbox.retry(item);
    if (!this.#slot || this.#host.deadlines.has("outbox")) return;
    this.#host.deadlines.set("outbox", fullJitter(this.#host.settings.backoff, this.#refused++, this.#host.env.random));
  }

  get(ref: Ref, path: string): void {
    this.#host.env.get(path, this.#token).then(
      (result) => this.#host.emit("answer", { ref, result }),
      (failure: Failure) => this.#host.emit("answer", { ref, failure }),
    );
  }

  join(name: string, after?: string, watch = false): void {
    const known = this.rooms.get(name);
    const room = known ?? this.rooms.add(name, true, after);
    const isNewWatch = watch && !room.watches;
    room.watches ||= watch;
    if (!this.#slot) return;
    if (!this.#slot.link.send) {
      if (!known) this.#host.deadlines.set("reopen", 0);
      if (isNewWatch) this.#host.deadlines.set("roster", 0);
    } else if (!known) {
      this.#subscribe(room);
    } else if (isNewWatch && room.isJoined) {
      this.#watch(room);
    }
  }

  leave(name: string): void {
    if (this.rooms.delete(name)) this.#send({ type: "unsubscribe", room: name });
    this.#host.emit("left", { room: name });
  }

  #subscribeAll(is: (room: RoomState) => boolean): void {
    for (const room of this.rooms.values()) {
      if (room.isWanted && is(room)) this.#subscribe(room);
    }
  }

  #subscribe(room: RoomState): void {
    const slot = this.#slot!;
    this.#send({ type: "subscribe", room: room.name, after: room.id }, (answer) => {
      // It may have been left, and joined again, since it was asked for.
      if (room.isJoined || this.rooms.get(room.name) !== room) return;
      if (answer.type === "subscribed") return this.#begun(room, answer);
      if (this.#comesLater(slot, answer)) return;
      this.rooms.delete(room.name);
      this.#host.emit("left", { room: room.name, failure: failureOf(answer) });
    });
  }

  #watch(room: RoomState): void {
    this.#send({ type: "subscribe", room: room.name, presence: true }, (answer) => {
      if (answer.type === "error") this.#host.emit("refused", failureOf(answer));
    });
  }

  #authAnswered(slot: Slot, answer: Frame): void {
    if (answer.type === "ok") {
      this.#host.proved();
      return this.#subscribeAll((room) => isPersonal(room.name) && !room.isJoined);
    }
    const { code, message: reason } = failureOf(answer);
    if (!this.#comesLater(slot, answer)) this.#host.end(slot, { code: code === "unauthorized" ? 4401 : UNREACHABLE, reason });
  }

  /** The gateway cannot do it now. Coming back, perhaps to another node, asks for everything again. */
  #comesLater(slot: Slot, answer: Frame): boolean {
    const { code, message: reason } = failureOf(answer);
    const later = { unavailable: UNAVAILABLE, rate_limited: 4429 }[code as string];
    if (later) this.#host.end(slot, { code: later, reason });
    return !!later;
  }

  /** Sends a command; `json` becomes its member `data`, as it was written. */
  #send(command: Record<string, unknown>, answered?: OnAnswer, json?: string): void {
    if (!this.#slot?.link.send) return;
    const ref = ++this.#lastRef;
    if (answered) this.#pending.set(ref, answered);
    const head = JSON.stringify({ ...command, ref });
    this.#slot.link.send(json ? `${head.slice(0, -1)},"data":${json}}` : head);
  }

  /** Something has come over the link. */
  take(slot: Slot, frame: Frame): void {
    const { ref } = frame;
    if (ref) {
      this.#pending.get(ref)?.(frame);
      this.#pending.delete(ref);
      return;
    }
    switch (frame.type) {
      case "message":
        if (this.rooms.take(frame)) this.#host.emit("message", toMessage(frame));
        break;
      case "position": {
        const room = this.rooms.get(frame.room);
        if (room?.isJoined) room.id = frame.id;
        break;
      }
      case "subscribed": return this.#subscribed(frame);
      case "unsubscribed": return this.#removed(frame.room);
      case "error": return this.#host.emit("refused", failureOf(frame));
      case "reset": return this.#missed({ room: frame.room, cause: "reset" });
      case "dropped": return this.#missed({ room: frame.room, cause: "dropped", count: frame.count });
      case "presence": return this.#present(frame.room, ({ roster }) => roster.change(frame.joined, frame.left));
      case "members": return this.#present(frame.room, ({ roster }) => roster.replace(frame.members));
      case "goodbye": slot.goodbyeMs = frame.reconnect_ms;
    }
  }

  /** Nobody asked: on streams and polls all rooms begin so, on WebSockets the personal one. */
  #subscribed(frame: Frame & { type: "subscribed" }): void {
    const room = this.rooms.get(frame.room) ?? (isPersonal(frame.room) && this.rooms.add(frame.room, false));
    // It was left meanwhile.
    if (!room) return;
    if (!this.#slot?.link.send || !room.id || !frame.id) return this.#begun(room, frame);
    if (room.id === frame.id) return this.#begun(room, { ...frame, resumed: true });
    // It was entered with the token, at its end. Leaving and coming back gives what was missed.
    this.#send({ type: "unsubscribe", room: room.name });
    this.#subscribe(room);
  }

  #begun(room: RoomState, frame: Frame & { type: "subscribed" }): void {
    const { resumed, cause } = this.rooms.begin(room, frame);
    this.#host.proved();
    if (cause) this.#missed({ room: room.name, cause });
    this.#host.emit("joined", { room: room.name, resumed, id: room.id });
    if (room.watches) this.#watch(room);
  }

  #removed(name: string): void {
    if (!this.rooms.delete(name)) return;
    this.#host.emit("left", { room: name, failure: { code: "removed", message: `taken out of ${name}` } });
  }

  #missed(missed: Missed): void {
    this.#host.emit("missed", missed);
  }

  #present(name: string, change: (room: RoomState) => Change): void {
    const room = this.rooms.get(name);
    if (!room?.watches) return;
    const { joined, left } = change(room);
    if (joined.length + left.length === 0) return;
    this.#host.emit("presence", { room: name, joined, left, members: [...room.roster.values()] });
  }

  /** Where the gateway does not tell who comes and goes, it is asked. */
  roster(): void {
    const slot = this.#slot;
    for (const room of this.rooms.values()) {
      if (!room.watches || !room.isJoined) continue;
      const path = `/rooms/${encodeURIComponent(room.name)}/presence`;
      this.#host.env.get(path, this.#token).then(
        (answer) => {
          if (slot === this.#slot) this.#present(room.name, ({ roster }) => roster.replace((answer as { members: Member[] }).members));
        },
        // It is asked again.
        () => {},
      );
    }
    this.#host.deadlines.set("roster", ROSTER_MS);
  }
}

function failureOf(frame: Frame): Failure {
  const { code, message } = frame as ErrorFrame;
  return { code: code as ErrorCode, message };
}

/** Of the user of that name, and of nobody else. */
function isPersonal(name: string): boolean {
  return name.startsWith("@");
}
