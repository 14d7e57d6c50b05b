// A world for the core: a clock that is moved by hand, chance that is told, and transports that do what a test says.
import { Connection } from "../dist/connection.js";

export const SETTINGS = {
  backoff: { baseMs: 1000, capMs: 30_000 },
  openTimeoutMs: 10_000, silenceMs: 75_000, upgradeMs: 300_000, queueMessages: 1000, queueBytes: 1 << 20,
};

/** Lets promises that are settled run on. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

export class World {
  /** What timers run by. */
  #timeMs = 0;
  /** How far the wall clock is ahead of it. */
  #aheadMs = 1_700_000_000_000;
  chance = 0.5;
  /** What the core has told. */
  notices = [];
  /** Every link that was opened, in order. */
  links = [];
  #timers = new Set();

  constructor({ names = ["websocket", "sse", "poll"], settings = {}, token, publish, get } = {}) {
    const env = {
      now: () => this.#timeMs + this.#aheadMs,
      random: () => this.chance,
      schedule: (run, delayMs) => {
        const timer = { at: this.#timeMs + delayMs, run };
        this.#timers.add(timer);
        return () => this.#timers.delete(timer);
      },
      transports: names.map((name) => ({ name, open: (request, events) => this.#open(name, request, events) })),
      publish: publish ?? (() => Promise.resolve({})),
      get: get ?? (() => Promise.resolve({})),
      token,
    };
    this.core = new Connection(env, { ...SETTINGS, ...settings }, (name, value) => this.notices.push([name, value]));
  }

  #open(name, request, events) {
    const link = new FakeLink(name, request, events);
    this.links.push(link);
    return link.handle;
  }

  get link() {
    return this.links.at(-1);
  }

  /** Time passes, and timers run when they are due. */
  pass(ms) {
    const end = this.#timeMs + ms;
    for (;;) {
      const next = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.#timers.delete(next);
      this.#timeMs = Math.max(this.#timeMs, next.at);
      next.run();
    }
    this.#timeMs = end;
  }

  /** The wall clock jumps, and no timer knows: the machine has slept, or its clock was set. */
  jump(ms) {
    this.#aheadMs += ms;
  }

  /** How many timers wait. */
  get timers() {
    return this.#timers.size;
  }

  /** What was told of one kind. */
  told(name) {
    return this.notices.filter(([other]) => other === name).map(([, value]) => value);
  }

  get states() {
    return this.told("status").map(({ state, transport }) => (transport ? `${state} ${transport}` : state));
  }
}

export class FakeLink {
  sent = [];
  isClosed = false;

  constructor(name, request, events) {
    Object.assign(this, { name, request, events });
    const send = (text) => this.sent.push(JSON.parse(text));
    this.handle = { close: () => (this.isClosed = true), ...(name === "websocket" && { send }) };
  }

  say(...frames) {
    frames.forEach((frame) => this.events.frame(frame));
  }

  welcome(more = {}) {
    this.say({ type: "welcome", node: "n1", heartbeat: 25, ...more });
    return this;
  }

  end(code = 1006, more = {}) {
    this.events.closed({ code, reason: "", ...more });
  }

  /** The last command of a type. */
  command(type) {
    return this.sent.filter((command) => command.type === type).at(-1);
  }

  /** Answers the last subscribe of a room. */
  subscribed(room, answer = {}) {
    const { ref } = this.sent.filter((command) => command.type === "subscribe" && command.room === room).at(-1);
    this.say({ type: "subscribed", room, id: "5-1", resumed: false, missed: false, ref, ...answer });
  }

  message(room, id, data = 1) {
    this.say({ type: "message", room, event: "message", data, ...(id && { id }) });
  }
}

/** A world whose first link is open. */
export function open(options) {
  const world = new World(options);
  world.core.start();
  world.link?.welcome();
  return world;
}
