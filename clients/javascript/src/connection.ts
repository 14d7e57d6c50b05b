/**
 * The core: which link is open, when the next is tried, and what becomes of everything when one ends. It knows no sockets and no
 * clock: time, chance, timers and transports are given to it.
 */

import { fullJitter, type Backoff } from "./backoff.js";
import { Conversation } from "./conversation.js";
import { Deadlines } from "./deadlines.js";
import type { Frame } from "./frame.js";
import { Ladder } from "./ladder.js";
import type { Publication } from "./outbox.js";
import type { Emit, Failure, Port, Ref } from "./port.js";
import { subjectOf } from "./token.js";
import { UNREACHABLE, type End, type Link, type Transport } from "./transport.js";
import type { Published, Status, TokenCallback, TokenReason } from "./types.js";
import { judge } from "./verdict.js";

/** The world. */
export interface Environment {
  /** Milliseconds since 1970. */
  now(): number;
  /** From 0 to 1, without 1. */
  random(): number;
  /** Runs something later; gives what cancels it. */
  schedule(run: () => void, delayMs: number): () => void;
  transports: readonly Transport[];
  /** Publishes over HTTP, for links that cannot send. */
  publish(item: Publication, token: string | undefined): Promise<Published>;
  /** Reads a resource. */
  get(path: string, token: string | undefined): Promise<unknown>;
  token: string | TokenCallback | undefined;
}

/** What `Options` has for all of them. */
export interface Settings {
  backoff: Backoff;
  openTimeoutMs: number;
  silenceMs: number;
  upgradeMs: number;
  queueMessages: number;
  queueBytes: number;
}

/** An open link, or one that opens. */
export interface Slot {
  readonly index: number;
  link: Link;
  /** The rooms that it was opened with. */
  readonly rooms: readonly string[];
  openedAt: number;
  /** Something has come through it later than what it opened with. */
  isUseful?: boolean;
  /** In milliseconds; only where the client has to ask for signs of life. */
  heartbeatMs?: number;
  /** The node has said goodbye: how long it asks to stay away. */
  goodbyeMs?: number;
}

export type Deadline = "retry" | "open" | "token" | "reopen" | "heartbeat" | "dead" | "probe" | "roster" | "outbox";

/** Timers of a page that sleeps are late: no deadline is slept over for longer than this, in milliseconds. */
const NAP_MS_MAX = 5000;
/** How long a gateway may take to answer a ping, in milliseconds. */
const PONG_MS_MAX = 5000;
/** How long a program may take to give a token, in milliseconds. */
const TOKEN_MS_MAX = 30_000;

export class Connection implements Port {
  readonly #env: Environment;
  readonly #settings: Settings;
  readonly #emit: Emit;
  readonly #deadlines: Deadlines<Deadline>;
  readonly #ladder: Ladder;
  readonly #conversation: Conversation;
  #link: Slot | undefined;
  /** Opens; beside a link only to see whether a better transport works again. */
  #attempt: Slot | undefined;
  /** Waits in a row without success. */
  #failures = 0;
  #token: string | undefined;
  /** Why a token has to be asked for before the next attempt. */
  #tokenReason: TokenReason | undefined;
  /** Tokens refused in a row. */
  #refusals = 0;
  /** Answers to earlier questions for a token do not count. */
  #tokenQuestion = 0;
  #isClosed = false;
  #timer: { at: number; cancel(): void } | undefined;

  constructor(env: Environment, settings: Settings, emit: Emit) {
    this.#env = env;
    this.#settings = settings;
    this.#emit = emit;
    this.#deadlines = new Deadlines(env.now, () => this.#plan());
    this.#ladder = new Ladder(env.transports.length);
    this.#conversation = new Conversation({
      env, settings, deadlines: this.#deadlines, emit,
      end: (slot, end) => this.#end(slot, end),
      proved: () => (this.#failures = this.#refusals = 0),
    });
    if (typeof env.token === "string") this.#token = env.token;
    else if (env.token) this.#tokenReason = "connect";
  }

  start(): void {
    this.#connect();
  }

  join(room: string, after?: string, watch?: boolean): void {
    this.#conversation.join(room, after, watch);
  }

  leave(room: string): void {
    this.#conversation.leave(room);
  }

  publish(item: Publication): void {
    this.#conversation.publish(item);
  }

  get(ref: Ref, path: string): void {
    this.#conversation.get(ref, path);
  }

  close(): void {
    this.#stop({ code: "closed", message: "closed" }, true);
  }

  /** The network is back, or the page is seen again: no more waiting, and is the link still alive? */
  wake(): void {
    if (this.#deadlines.has("retry")) this.#deadlines.set("retry", 0);
    if (this.#link?.heartbeatMs) this.#deadlines.set("heartbeat", 0);
    this.#tick();
  }

  #plan(): void {
    const wait = this.#deadlines.wait();
    if (this.#isClosed || wait === undefined) {
      this.#timer?.cancel();
      this.#timer = undefined;
      return;
    }
    const delayMs = Math.min(Math.max(wait, 0), NAP_MS_MAX);
    const at = this.#env.now() + delayMs;
    // A timer that comes too early only looks and sets the next: cheaper than a new one for each message.
    if (this.#timer && this.#timer.at <= at) return;
    this.#timer?.cancel();
    this.#timer = { at, cancel: this.#env.schedule(() => this.#tick(), delayMs) };
  }

  #tick(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const name of this.#deadlines.takeDue()) {
      if (!this.#isClosed) this.#actions[name]();
    }
    this.#conversation.expire();
    this.#plan();
  }

  readonly #actions: Record<Deadline, () => void> = {
    retry: () => this.#connect(),
    open: () => this.#end(this.#attempt, { code: UNREACHABLE, reason: "timeout" }),
    token: () => {
      this.#tokenQuestion += 1;
      this.#wait();
    },
    reopen: () => this.#reopen(),
    heartbeat: () => this.#ping(),
    dead: () => this.#fallSilent(),
    probe: () => this.#attempt || this.#open(0),
    roster: () => this.#conversation.roster(),
    outbox: () => this.#conversation.flush(),
  };

  /** Begins with what worked last. */
  #connect(): void {
    if (this.#tokenReason) return this.#askForToken(this.#tokenReason);
    this.#open(this.#ladder.begin());
  }

  #askForToken(reason: TokenReason): void {
    const callback = this.#env.token;
    if (typeof callback !== "function") return;
    const question = ++this.#tokenQuestion;
    this.#deadlines.set("token", TOKEN_MS_MAX);
    this.#tell("connecting");
    const unlessStale = (run: () => void) => {
      if (question !== this.#tokenQuestion || this.#isClosed) return;
      this.#deadlines.delete("token");
      run();
    };
    const answer = Promise.resolve(reason).then(callback);
    answer.then(
      (token) => unlessStale(() => this.#takeToken(token)),
      () => unlessStale(() => this.#wait()),
    );
  }

  #takeToken(token: string | null | undefined): void {
    if (!token) return this.#stop({ code: "unauthorized", message: "there is no token" });
    this.#token = token;
    this.#tokenReason = undefined;
    this.#open(this.#ladder.begin());
  }

  #open(index: number): void {
    // A better transport may be under way beside the link that has just ended.
    if (this.#attempt) this.#lose(this.#attempt);
    this.#deadlines.delete("retry");
    const { rooms: table } = this.#conversation;
    const rooms = table.wanted();
    const slot: Slot = { index, link: { close() {} }, rooms, openedAt: 0 };
    this.#attempt = slot;
    this.#deadlines.set("open", this.#settings.openTimeoutMs);
    if (!this.#link) this.#tell("connecting", slot);
    const ifCurrent = <T extends unknown[]>(run: (...values: T) => void) => (...values: T) => {
      if (slot === this.#attempt || slot === this.#link) run(...values);
    };
    const request = { token: this.#token, own: subjectOf(this.#token), rooms, ids: table.ids() };
    try {
      slot.link = this.#env.transports[index]!.open(request, {
        heard: ifCurrent(() => this.#heard(slot)),
        frame: ifCurrent((frame: Frame) => this.#frame(slot, frame)),
        closed: ifCurrent((end: End) => this.#end(slot, end)),
      });
    } catch (error) {
      this.#end(slot, { code: UNREACHABLE, reason: String(error) });
    }
  }

  /** The next link knows further rooms. The old one ends first: two would both deliver what has no id. */
  #reopen(): void {
    const slot = this.#link;
    if (!slot) return;
    this.#lose(slot);
    this.#open(slot.index);
  }

  #heard(slot: Slot): void {
    if (slot !== this.#link) return;
    slot.isUseful ||= this.#env.now() - slot.openedAt > NAP_MS_MAX;
    this.#expectLife(slot);
  }

  /** A link that is silent from now on is asked, or given up, in time. */
  #expectLife(slot: Slot): void {
    this.#deadlines.delete("dead");
    if (slot.heartbeatMs) this.#deadlines.set("heartbeat", slot.heartbeatMs);
    else this.#deadlines.set("dead", this.#settings.silenceMs);
  }

  #ping(): void {
    this.#link?.link.send?.('{"type":"ping"}');
    this.#deadlines.set("dead", PONG_MS_MAX);
  }

  #fallSilent(): void {
    const slot = this.#link;
    if (!slot) return;
    if (!slot.isUseful) this.#ladder.avoid(slot.index);
    this.#end(slot, { code: UNREACHABLE, reason: "silence" });
  }

  #frame(slot: Slot, frame: Frame): void {
    this.#heard(slot);
    if (slot === this.#link) return this.#conversation.take(slot, frame);
    if (frame.type === "welcome") this.#opened(slot, frame);
  }

  #opened(slot: Slot, { node, heartbeat }: Frame & { type: "welcome" }): void {
    if (this.#link) this.#lose(this.#link);
    this.#attempt = undefined;
    this.#link = slot;
    slot.openedAt = this.#env.now();
    this.#deadlines.delete("open");
    this.#ladder.opened(slot.index);
    this.#expectProbe();
    if (slot.link.send && heartbeat) slot.heartbeatMs = heartbeat * 1000;
    this.#expectLife(slot);
    this.#tell("connected", slot, node);
    this.#conversation.begin(slot, this.#token);
  }

  #expectProbe(): void {
    if (this.#ladder.isLow) this.#deadlines.set("probe", this.#settings.upgradeMs);
    else this.#deadlines.delete("probe");
  }

  /** A link has ended, or did not open. */
  #end(slot: Slot | undefined, end: End): void {
    if (!slot || this.#isClosed) return;
    const hadOpened = slot === this.#link;
    if (hadOpened) this.#conversation.blame(end);
    this.#lose(slot);
    // Another transport was tried beside a link that works.
    if (this.#link) return this.#expectProbe();
    const { code, reason, delayMs } = slot.goodbyeMs ? { ...end, code: 1012, delayMs: slot.goodbyeMs } : end;
    const verdict = judge({ code, delayMs });
    if (verdict === "token") return this.#tokenRefused(reason);
    if (verdict !== "next") {
      // A node that lets everyone go spreads them itself.
      return "stop" in verdict ? this.#stop({ code: verdict.stop, message: reason }) : this.#wait(verdict.delayMs, code !== 1012);
    }
    const next = hadOpened ? undefined : this.#ladder.next();
    if (next === undefined) this.#wait();
    else this.#open(next);
  }

  #tokenRefused(message: string): void {
    if (typeof this.#env.token !== "function") return this.#stop({ code: "unauthorized", message });
    this.#tokenReason = "expired";
    if (this.#refusals++ === 0) this.#connect();
    else this.#wait();
  }

  #lose(slot: Slot): void {
    slot.link.close();
    if (slot === this.#attempt) {
      this.#attempt = undefined;
      this.#deadlines.delete("open");
    }
    if (slot !== this.#link) return;
    this.#link = undefined;
    this.#deadlines.delete("heartbeat", "dead", "probe", "roster", "reopen", "outbox");
    this.#conversation.lose();
  }

  #wait(delayMs = 0, jitter = true): void {
    const wait = jitter ? fullJitter(this.#settings.backoff, this.#failures++, this.#env.random) : 0;
    this.#deadlines.set("retry", delayMs + wait);
    this.#tell("waiting");
  }

  #stop(failure: Failure, isWanted = false): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#plan();
    for (const slot of [this.#attempt, this.#link]) if (slot) this.#lose(slot);
    this.#tell("closed");
    this.#conversation.stop(failure);
    this.#emit("closed", isWanted ? undefined : failure);
  }

  #tell(state: Status["state"], slot?: Slot, node?: string): void {
    this.#emit("status", { state, transport: slot && this.#env.transports[slot.index]!.name, node });
  }
}
