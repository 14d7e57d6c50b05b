/**
 * One connection for all tabs of a page: the script of a SharedWorker. `connectShared` is the other end.
 *
 * Every tab asks for rooms, publishes and is answered as if the connection were its own; what comes is given to the tabs that are in
 * the room. The connection lasts as long as any tab does.
 */

import { createCore } from "./connect.js";
import type { Answer, FromTab, Hello, Notices, Port, Presence, Ref, RoomNotices, ToTab } from "./shared-port.js";
import type { Options, TokenReason } from "./types.js";

/** How long a tab may take to give a token before the next is asked, in milliseconds. */
const TOKEN_MS_MAX = 8000;

/** What a tab is told by. */
interface Channel {
  postMessage(message: ToTab): void;
}

/** Makes the core; tests have their own. */
export type MakeCore = (url: string, options: Options, emit: <N extends keyof Notices>(name: N, value: Notices[N]) => void) => Port & { start(): void };

/** Where a tab stands in a room. */
interface Seat {
  /** What it has: the last message, or where it began; none where the room has no history, or it has not begun. */
  id: string | undefined;
  hasBegun: boolean;
}

/** One tab. */
class Tab {
  readonly id: number;
  readonly channel: Channel;
  readonly rooms = new Map<string, Seat>();
  /** Questions for a token that wait for this tab. */
  readonly questions = new Map<number, (answer: Answer) => void>();

  constructor(id: number, channel: Channel) {
    this.id = id;
    this.channel = channel;
  }

  tell<N extends keyof Notices>(name: N, value: Notices[N]): void {
    this.channel.postMessage({ notice: [name, value] });
  }

  /** The room begins, with what comes behind `id`. */
  begins(seat: Seat, room: string, id: string | undefined, resumed: boolean): void {
    seat.id = id;
    seat.hasBegun = true;
    this.tell("joined", { room, resumed, id });
  }
}

/** Where the connection stands in a room: what it has, or what it has asked to come after. */
interface SharedRoom extends Seat {
  watch: boolean;
  /** The connection was told that messages are missing; whom that concerns is known when the room begins. */
  missed?: RoomNotices["missed"] | undefined;
}

/** A connection and its tabs. */
class Shared {
  readonly tabs = new Map<number, Tab>();
  readonly #core: Port & { start(): void };
  readonly #rooms = new Map<string, SharedRoom>();
  readonly #present = new Map<string, Presence>();
  readonly #ended: () => void;
  #status: Notices["status"] = { state: "connecting" };
  #lastQuestion = 0;
  /** A room that is left only to be joined again. */
  #goesBackIn: string | undefined;

  constructor({ url, options, asksForToken }: Hello, make: MakeCore, ended: () => void) {
    this.#ended = ended;
    const token = asksForToken && { token: (reason: TokenReason) => this.#askForToken(reason) };
    this.#core = make(url, { ...options, ...token }, (name, value) => this.#take(name, value));
    this.#core.start();
  }

  add(tab: Tab): void {
    this.tabs.set(tab.id, tab);
    tab.tell("status", this.#status);
  }

  /** The tab has closed its client, or is gone. */
  remove(tab: Tab): void {
    if (!this.tabs.delete(tab.id)) return;
    for (const room of tab.rooms.keys()) this.#leaveIfEmpty(room);
    if (this.tabs.size > 0) return;
    this.#core.close();
    this.#ended();
  }

  call(tab: Tab, [name, ...values]: FromTab["call"]): void {
    switch (name) {
      case "join": return this.#join(tab, ...(values as Parameters<Port["join"]>));
      case "leave": return this.#leave(tab, values[0] as string);
      case "publish": {
        const [item] = values as Parameters<Port["publish"]>;
        return this.#core.publish({ ...item, ref: `${tab.id} ${item.ref}` });
      }
      case "get": return this.#core.get(`${tab.id} ${values[0]}`, values[1] as string);
      case "close":
        tab.tell("closed", undefined);
        this.remove(tab);
    }
  }

  #join(tab: Tab, name: string, after?: string, watch = false): void {
    const known = this.#rooms.get(name);
    const isNew = !tab.rooms.has(name);
    const seat = tab.rooms.get(name) ?? { id: after, hasBegun: false };
    tab.rooms.set(name, seat);
    if (!known) this.#rooms.set(name, { id: after, hasBegun: false, watch });
    else known.watch ||= watch;
    const isBehind = known && isNew && after !== undefined && after !== known.id && !isAhead(after, known.id);
    if (isBehind) this.#goBack(name, known, after);
    else this.#core.join(name, after, watch);
    if (isNew && known?.hasBegun && !isBehind) tab.begins(seat, name, after ?? known.id, after !== undefined);
    const present = this.#present.get(name);
    if (watch && present) tab.tell("presence", { ...present, joined: present.members, left: [] });
  }

  /** The connection is further than this tab, or does not know yet where it is: everybody is given what they do not have. */
  #goBack(name: string, room: SharedRoom, after: string): void {
    this.#goesBackIn = name;
    this.#core.leave(name);
    this.#goesBackIn = undefined;
    this.#rooms.set(name, { id: after, hasBegun: false, watch: room.watch });
    this.#core.join(name, after, room.watch);
  }

  #leave(tab: Tab, room: string): void {
    tab.rooms.delete(room);
    tab.tell("left", { room });
    this.#leaveIfEmpty(room);
  }

  #leaveIfEmpty(room: string): void {
    // The personal room is heard by all tabs.
    if (isPersonal(room)) return;
    if ([...this.tabs.values()].some((tab) => tab.rooms.has(room))) return;
    this.#forget(room);
    this.#core.leave(room);
  }

  #forget(room: string): void {
    this.#rooms.delete(room);
    this.#present.delete(room);
  }

  #take<N extends keyof Notices>(name: N, value: Notices[N]): void {
    if (name === "answer") return this.#answer(value as Notices["answer"]);
    if (name === "status") this.#status = value as Notices["status"];
    const room = (value as { room?: string } | undefined)?.room;
    if (room !== undefined) return this.#takeOfRoom(name as keyof RoomNotices, room, value);
    for (const tab of this.tabs.values()) tab.tell(name, value);
    if (name === "closed") this.#ended();
  }

  #takeOfRoom(name: keyof RoomNotices, room: string, value: unknown): void {
    if (name === "left" && room === this.#goesBackIn) return;
    if (name === "message") return this.#message(value as RoomNotices["message"]);
    if (name === "joined") return this.#begun(value as RoomNotices["joined"]);
    if (name === "missed" && this.#isForLater(value as RoomNotices["missed"])) return;
    if (name === "presence") this.#present.set(room, value as Presence);
    if (name === "left") this.#forget(room);
    for (const [tab] of this.#hearers(room)) {
      tab.tell(name, value as Notices[typeof name]);
      if (name === "left") tab.rooms.delete(room);
    }
  }

  /** Tabs that hear a room, and where they stand; the personal room comes without asking. */
  *#hearers(room: string): Generator<[Tab, Seat]> {
    for (const tab of this.tabs.values()) {
      if (isPersonal(room) && !tab.rooms.has(room)) tab.rooms.set(room, { id: undefined, hasBegun: true });
      const seat = tab.rooms.get(room);
      if (seat) yield [tab, seat];
    }
  }

  #message(message: RoomNotices["message"]): void {
    const { room: name, id } = message;
    const room = this.#rooms.get(name);
    if (room && id) room.id = id;
    for (const [tab, seat] of this.#hearers(name)) {
      // Others have asked for what this tab has already.
      if (id && (id === seat.id || isAhead(seat.id, id))) continue;
      if (id) seat.id = id;
      tab.tell("message", message);
    }
  }

  #isForLater(missed: RoomNotices["missed"]): boolean {
    const room = this.#rooms.get(missed.room);
    if (missed.cause !== "missed" || !room) return false;
    room.missed = missed;
    return true;
  }

  #begun({ room: name, resumed, id }: RoomNotices["joined"]): void {
    const { watch = false, missed } = this.#rooms.get(name) ?? {};
    this.#rooms.set(name, { id, hasBegun: true, watch });
    for (const [tab, seat] of this.#hearers(name)) {
      const isBack = seat.id !== undefined && (resumed || seat.id === id);
      if (missed && !isBack && (seat.hasBegun || seat.id)) tab.tell("missed", missed);
      tab.begins(seat, name, isBack ? seat.id : id, isBack);
    }
  }

  #answer({ ref, ...answer }: Notices["answer"]): void {
    const [tab, own] = String(ref).split(" ").map(Number) as [number, Ref];
    this.tabs.get(tab)?.tell("answer", { ref: own, ...answer });
  }

  /** The tab that came last is asked first. */
  async #askForToken(reason: TokenReason): Promise<string | null | undefined> {
    for (const tab of [...this.tabs.values()].reverse()) {
      const question = ++this.#lastQuestion;
      let timer;
      const answer = await new Promise<Answer | undefined>((resolve) => {
        tab.questions.set(question, resolve);
        timer = setTimeout(() => resolve(undefined), TOKEN_MS_MAX);
        tab.channel.postMessage({ question, reason });
      });
      clearTimeout(timer);
      tab.questions.delete(question);
      if (answer && !answer.failed) return answer.token;
    }
    throw new Error("no tab gives a token");
  }
}

/** Of the user, who is in it on each of its connections. */
function isPersonal(room: string): boolean {
  return room.startsWith("@");
}

/** Whether an id is behind another of the same epoch; ids are `<epoch>-<offset>`. */
function isAhead(id: string | undefined, other: string | undefined): boolean {
  const [[epoch, offset], [otherEpoch, otherOffset]] = [split(id), split(other)];
  return epoch !== undefined && epoch === otherEpoch && Number(offset) > Number(otherOffset);
}

function split(id: string | undefined): string[] {
  return id?.split("-") ?? [];
}

/** Takes tabs; `whenGone` calls back when the holder of a lock is gone, and `lock` is what the worker itself holds. */
export function serve(make: MakeCore, whenGone: (lock: string, run: () => void) => void, lock?: Promise<string>): (port: MessagePort) => void {
  const all = new Map<string, Shared>();
  let lastTab = 0;
  return (port) => {
    const tab = new Tab(++lastTab, port);
    let shared: Shared | undefined;
    void lock?.then((name) => port.postMessage({ lock: name } satisfies ToTab));
    port.onmessage = ({ data }: MessageEvent<Partial<FromTab>>) => {
      if (data.hello) {
        const key = JSON.stringify([data.hello.url, data.hello.options, data.hello.asksForToken]);
        shared = all.get(key) ?? new Shared(data.hello, make, () => all.delete(key));
        all.set(key, shared);
        shared.add(tab);
      }
      if (data.lock) whenGone(data.lock, () => shared?.remove(tab));
      if (data.call) shared?.call(tab, data.call);
      if (data.answer) tab.questions.get(data.answer.question)?.(data.answer);
    };
  };
}

const scope = globalThis as { onconnect?: ((event: { ports: readonly MessagePort[] }) => void) | null; SharedWorkerGlobalScope?: unknown };
if (scope.SharedWorkerGlobalScope) {
  const { locks } = navigator as { locks?: LockManager };
  const name = `roomcast worker ${crypto.getRandomValues(new Uint32Array(4)).join("-")}`;
  const lock = locks && new Promise<string>((held) => {
    void locks.request(name, () => {
      held(name);
      return new Promise(() => {});
    });
  });
  const accept = serve(createCore, (tab, run) => void locks?.request(tab, run), lock);
  scope.onconnect = ({ ports: [port] }) => accept(port!);
}
