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

/** One tab. */
class Tab {
  readonly id: number;
  readonly channel: Channel;
  readonly rooms = new Set<string>();
  /** Questions for a token that wait for this tab. */
  readonly questions = new Map<number, (answer: Answer) => void>();

  constructor(id: number, channel: Channel) {
    this.id = id;
    this.channel = channel;
  }

  tell<N extends keyof Notices>(name: N, value: Notices[N]): void {
    this.channel.postMessage({ notice: [name, value] });
  }
}

/** A connection and its tabs. */
class Shared {
  readonly tabs = new Map<number, Tab>();
  readonly #core: Port & { start(): void };
  readonly #joined = new Map<string, RoomNotices["joined"]>();
  readonly #present = new Map<string, Presence>();
  readonly #ended: () => void;
  #status: Notices["status"] = { state: "connecting" };
  #lastQuestion = 0;

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
    for (const room of tab.rooms) this.#leaveIfEmpty(room);
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

  #join(tab: Tab, room: string, after?: string, watch?: boolean): void {
    const isNew = !tab.rooms.has(room);
    tab.rooms.add(room);
    this.#core.join(room, after, watch);
    const joined = this.#joined.get(room);
    if (isNew && joined) {
      const resumed = after !== undefined && after === joined.id;
      // The connection is further already: what came between was for the other tabs.
      if (after !== undefined && !resumed) tab.tell("missed", { room, cause: "missed" });
      tab.tell("joined", { ...joined, resumed });
    }
    const present = this.#present.get(room);
    if (watch && present) tab.tell("presence", { ...present, joined: present.members, left: [] });
  }

  #leave(tab: Tab, room: string): void {
    tab.rooms.delete(room);
    tab.tell("left", { room });
    this.#leaveIfEmpty(room);
  }

  #leaveIfEmpty(room: string): void {
    if ([...this.tabs.values()].some((tab) => tab.rooms.has(room))) return;
    this.#forget(room);
    this.#core.leave(room);
  }

  #forget(room: string): void {
    this.#joined.delete(room);
    this.#present.delete(room);
  }

  #take<N extends keyof Notices>(name: N, value: Notices[N]): void {
    if (name === "answer") return this.#answer(value as Notices["answer"]);
    if (name === "status") this.#status = value as Notices["status"];
    const room = (value as { room?: string } | undefined)?.room;
    if (room !== undefined) this.#note(name, room, value);
    for (const tab of this.tabs.values()) {
      // The personal room comes without asking.
      if (room === undefined || tab.rooms.has(room) || room.startsWith("@")) tab.tell(name, value);
      if (name === "left") tab.rooms.delete(room!);
    }
    if (name === "closed") this.#ended();
  }

  #note(name: keyof Notices, room: string, value: unknown): void {
    const joined = this.#joined.get(room);
    if (name === "joined") this.#joined.set(room, value as RoomNotices["joined"]);
    else if (name === "presence") this.#present.set(room, value as Presence);
    else if (name === "left") this.#forget(room);
    else if (name === "message" && joined) this.#joined.set(room, { ...joined, ...((value as { id?: string }).id && { id: (value as { id: string }).id }) });
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

/** Takes tabs; `whenGone` calls back when the holder of a lock is gone. */
export function serve(make: MakeCore, whenGone: (lock: string, run: () => void) => void): (port: MessagePort) => void {
  const all = new Map<string, Shared>();
  let lastTab = 0;
  return (port) => {
    const tab = new Tab(++lastTab, port);
    let shared: Shared | undefined;
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
  const accept = serve(createCore, (lock, run) => void navigator.locks.request(lock, run));
  scope.onconnect = ({ ports: [port] }) => accept(port!);
}
