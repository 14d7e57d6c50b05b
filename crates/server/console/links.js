// The two ways to listen. Each tells its panel, by the same calls: up, joined, heard, noted, members, down.

/** The longest wait before another try, in milliseconds; the first is two hundredths of it. */
const WAIT_MAX_MS = 10_000;
/** Commands without an answer; more are refused. */
const ASKED_MAX = 64;
/** Close codes after which coming back is of no use. */
const FINAL = new Set([4401, 4403, 4410]);

/** When to try again, the longer the more often it has failed (full jitter). */
function pause(failures) {
  return Math.random() * Math.min(WAIT_MAX_MS, (WAIT_MAX_MS / 50) * 2 ** failures);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** What both have: rooms that are wished for, and trying again. */
class Link {
  failures = 0;
  timer = 0;

  constructor(panel) {
    this.panel = panel;
  }

  open(wish) {
    this.close();
    this.wish = wish;
    this.connect();
  }

  again(reason, wait = pause(this.failures++)) {
    this.panel.down(`${reason}; trying again`);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), wait);
  }

  /** Drops the connection as a broken network would: what was heard last is kept. */
  cut() {
    clearTimeout(this.timer);
    this.drop();
  }

  close() {
    this.cut();
    this.forget();
  }
}

/** An EventSource. The browser itself comes back, with the cursor that it has seen last. */
export class SseLink extends Link {
  #source = null;
  #cursor = "";

  connect() {
    const { rooms, names, token } = this.wish;
    const query = new URLSearchParams(rooms.map((room) => ["room", room]));
    query.set("format", "json");
    if (token) query.set("token", token);
    if (this.#cursor) query.set("after", this.#cursor);
    const source = new EventSource(`/sse?${query}`);
    this.#source = source;
    const on = (name, heard) => {
      source.addEventListener(name, (event) => {
        // A failure of the connection is an event without data.
        if (source !== this.#source || typeof event.data !== "string") return;
        this.#cursor = event.lastEventId || this.#cursor;
        const data = parsed(event.data);
        if (data) heard(data);
      });
    };
    on("connected", ({ rooms, ...about }) => {
      this.failures = 0;
      this.panel.up(about);
      for (const [room, verdict] of Object.entries(rooms)) this.panel.joined(room, verdict);
    });
    on("reset", ({ room }) => this.panel.noted(`${room}: messages were lost, and history cannot cover the gap`));
    on("dropped", ({ room, count }) => this.panel.noted(`${room}: too slow for ${count} messages`));
    on("unsubscribed", ({ room }) => this.panel.noted(`${room}: taken out of the room`));
    on("goodbye", ({ reason }) => this.panel.noted(`the node says goodbye: ${reason}`));
    for (const name of names) on(name, (message) => message.type === "message" && this.panel.heard(message));
    source.addEventListener("error", (event) => {
      if (source !== this.#source || typeof event.data === "string") return;
      if (source.readyState !== EventSource.CLOSED) return this.panel.down("lost; the browser comes back by itself");
      this.again("refused: is the token good, and the room's name?");
    });
  }

  drop() {
    this.#source?.close();
    this.#source = null;
  }

  forget() {
    this.#cursor = "";
  }

  async publish(room, event, { contentType, body }) {
    const query = event ? `?${new URLSearchParams({ event })}` : "";
    const request = { method: "POST", body, headers: { "Content-Type": contentType } };
    return (await this.panel.fetch(`/rooms/${encodeURIComponent(room)}/messages${query}`, request)).id;
  }

  async watch(room) {
    this.panel.members(room, await this.panel.fetch(`/rooms/${encodeURIComponent(room)}/presence`));
  }
}

/** A WebSocket in JSON mode. */
export class WsLink extends Link {
  #socket = null;
  #ids = new Map();
  #asked = new Map();
  #watched = new Set();
  #count = 0;

  connect() {
    const { token } = this.wish;
    const query = token ? `?${new URLSearchParams({ token })}` : "";
    const socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/ws${query}`, "roomcast.v1");
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => socket === this.#socket && this.#hear(JSON.parse(data)));
    socket.addEventListener("close", ({ code, reason }) => {
      if (socket !== this.#socket) return;
      this.drop();
      const said = `closed with ${code}${reason && `, ${reason}`}`;
      const wait = /^reconnect_ms=(\d+)$/.exec(reason);
      if (FINAL.has(code)) this.panel.down(said);
      else this.again(said, wait ? Number(wait[1]) : undefined);
    });
  }

  #hear(said) {
    switch (said.type) {
      case "welcome":
        this.failures = 0;
        this.panel.up(said);
        return this.#join();
      case "message":
        if (said.id) this.#ids.set(said.room, said.id);
        return this.panel.heard(said);
      case "presence":
        return this.panel.changed(said);
      case "members":
        return this.panel.members(said.room, said);
      case "reset":
        return this.panel.noted(`${said.room}: messages were lost, and history cannot cover the gap`);
      case "dropped":
        return this.panel.noted(`${said.room}: too slow for ${said.count} messages`);
      case "unsubscribed":
        return this.panel.noted(`${said.room}: taken out of the room`);
      case "goodbye":
        return this.panel.noted(`the node says goodbye: ${said.reason}`);
      case "error":
        if (said.ref === undefined || said.ref === null) this.panel.noted(`${said.code}: ${said.message}`);
        break;
      case "subscribed":
        if (said.id && !this.#ids.has(said.room)) this.#ids.set(said.room, said.id);
    }
    const asked = this.#asked.get(said.ref);
    this.#asked.delete(said.ref);
    if (said.type === "error") asked?.reject(new Error(`${said.code}: ${said.message}`));
    else asked?.resolve(said);
  }

  #join() {
    for (const room of this.wish.rooms) {
      const after = this.#ids.get(room);
      this.#ask({ type: "subscribe", room, ...(after && { after }) })
        .then((verdict) => {
          if (verdict.missed && verdict.id) this.#ids.set(room, verdict.id);
          this.panel.joined(room, verdict);
          if (this.#watched.has(room)) return this.watch(room);
        })
        .catch((error) => this.panel.noted(`${room}: ${error.message}`));
    }
  }

  /** Sends a command; `data` is JSON to be put in as it was typed. */
  #ask(command, data) {
    return new Promise((resolve, reject) => {
      if (this.#socket?.readyState !== WebSocket.OPEN) throw new Error("connect first");
      if (this.#asked.size >= ASKED_MAX) throw new Error("too many commands wait for their answers");
      const ref = ++this.#count;
      this.#asked.set(ref, { resolve, reject });
      const text = JSON.stringify({ ref, ...command });
      this.#socket.send(data === undefined ? text : `${text.slice(0, -1)},"data":${data}}`);
    });
  }

  drop() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    for (const { reject } of this.#asked.values()) reject(new Error("the connection ended first; it may have got through"));
    this.#asked.clear();
  }

  forget() {
    this.#ids.clear();
    this.#watched.clear();
  }

  async publish(room, event, { body, fields }) {
    const command = { type: "publish", room, ...(event && { event }), ...("base64" in fields && fields) };
    const typed = typeof fields.data === "string" ? JSON.stringify(body) : body;
    return (await this.#ask(command, "base64" in fields ? undefined : typed)).id;
  }

  async watch(room) {
    this.#watched.add(room);
    await this.#ask({ type: "subscribe", room, presence: true });
  }
}
