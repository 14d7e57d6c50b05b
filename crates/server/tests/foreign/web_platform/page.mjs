// What runs in pages and workers: nothing but what the platform gives, and a list of what happens.

/** Gives a page `source`, `socket`, `post` and `base64`. Sent to the browser as text: it must not use anything from outside. */
export function equip() {
  /** Notes what happens to an EventSource or a WebSocket, in order. */
  const follow = (target, names) => {
    const kept = [], waiting = [];
    for (const name of names) {
      target.addEventListener(name, (event) => {
        const line = { type: event.type, state: target.readyState };
        for (const key of ["data", "lastEventId", "origin", "code", "reason", "wasClean"]) if (key in event) line[key] = event[key];
        const take = waiting.shift();
        if (take) take(line);
        else kept.push(line);
      });
    }
    const next = () => (kept.length ? Promise.resolve(kept.shift()) : new Promise((resolve) => waiting.push(resolve)));
    /** The next of this type, and all before it. */
    const all = async (type) => {
      for (const lines = [];;) {
        lines.push(await next());
        if (lines.at(-1).type === type) return lines;
      }
    };
    return { target, kept, all, next: async (type) => (type ? (await all(type)).at(-1) : next()) };
  };
  globalThis.source = (url, { names = [], ...init } = {}) => {
    return follow(new EventSource(url, init), [...new Set(["open", "error", "message", "connected", "goodbye", ...names])]);
  };
  globalThis.socket = (url, protocols = [], binaryType = "blob") => {
    const target = new WebSocket(new URL(url, location.href).href.replace(/^http/, "ws"), protocols);
    target.binaryType = binaryType;
    return follow(target, ["open", "error", "message", "close"]);
  };
  /** Publishes; gives the id. */
  globalThis.post = async (url, body, headers = {}) => {
    const response = await fetch(url, { method: "POST", body, headers });
    if (response.status !== 202) throw new Error(`${url}: ${response.status} ${await response.text()}`);
    return (await response.json()).id;
  };
  /** JSON mode, in the rooms of the URL. */
  globalThis.jsonSocket = async (url) => {
    const { all, ...both } = socket(url, ["roomcast.v1"]);
    const next = async (type) => {
      for (;;) {
        const line = await both.next();
        const frame = line.type === "message" ? JSON.parse(line.data) : line;
        if (frame.type === type) return frame;
      }
    };
    await next("subscribed");
    return { ...both, next, send: (command) => both.target.send(JSON.stringify(command)) };
  };
  globalThis.base64 = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)));
}

/** The script of a worker that runs what it is sent, and answers. */
export function serveEvaluations() {
  const serve = (port) => {
    port.onmessage = async ({ data: { code, argument } }) => {
      try {
        port.postMessage({ result: await (0, eval)(`(${code})`)(argument) });
      } catch (error) {
        port.postMessage({ error: String(error) });
      }
    };
  };
  if (globalThis.SharedWorkerGlobalScope) globalThis.onconnect = ({ ports: [port] }) => serve(port);
  else serve(globalThis);
}

/** Runs in a page: has a worker of this page's origin run a function. */
export function runInWorker({ kind, code, argument }) {
  globalThis.workers ??= [];
  const worker = kind === "shared" ? new SharedWorker("/worker.js") : new Worker("/worker.js");
  globalThis.workers.push(worker);
  const port = worker.port ?? worker;
  port.start?.();
  port.postMessage({ code, argument });
  return new Promise((resolve, reject) => {
    worker.onerror = ({ message }) => reject(new Error(message));
    port.onmessage = ({ data }) => ("error" in data ? reject(new Error(data.error)) : resolve(data.result));
  });
}
