// Headless Chromium: chromium.mjs PORT PATH[,SUBPROTOCOL]…; speaks the line protocol of README.md. Each path gets a
// page of its own, served by the gateway itself: an EventSource for /sse, a WebSocket for /ws.
import { launch } from "./browser-launch.mjs";
import { listen, say } from "./lines.mjs";

const [port, ...paths] = process.argv.slice(2);

const browser = await launch();

/** Runs in the page. Each line waits for the one before, so that their order is the page's. */
function prepare(n) {
  let told = Promise.resolve();
  globalThis.say = (line) => (told = told.then(() => tell({ n, ...line })));
  globalThis.allTold = () => told;
  globalThis.base64 = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes)));
}

/** Runs in the page: nothing but what a page does. It comes back by itself. */
function openEventSource(path) {
  const source = new EventSource(path);
  source.onmessage = ({ data, lastEventId }) => say({ what: "message", event: "message", text: data, id: lastEventId });
  source.addEventListener("message;base64", ({ data, lastEventId }) => {
    say({ what: "message", event: "message;base64", base64: data, id: lastEventId });
  });
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) say({ what: "close", code: 0, reason: "it has given up" });
  };
  globalThis.leave = async () => source.close();
  return new Promise((resolve) => {
    source.addEventListener("connected", ({ data }) => resolve(say({ what: "open", text: data })));
  });
}

/** Runs in the page. */
function openWebSocket([path, ...subprotocols]) {
  const socket = new WebSocket(`ws://${location.host}${path}`, subprotocols);
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => {
    say({ what: "message", ...(typeof data === "string" ? { text: data } : { base64: base64(data) }) });
  };
  const closed = new Promise((resolve) => {
    socket.onclose = ({ code, reason }) => resolve(say({ what: "close", code, reason }));
  });
  globalThis.leave = () => (socket.close(1000), closed);
  globalThis.send = ({ text, base64 }) => {
    socket.send(text ?? Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0)));
  };
  return new Promise((resolve) => (socket.onopen = () => resolve(say({ what: "open", extensions: socket.extensions }))));
}

const pages = [];
for (const [n, path] of paths.entries()) {
  const page = await browser.newPage();
  await page.exposeFunction("tell", say);
  // A page of the origin that loads nothing more, so that it is one request, as balancers count.
  await page.goto(`http://127.0.0.1:${port}/no-page`);
  await page.evaluate(prepare, n);
  await (path.startsWith("/sse") ? page.evaluate(openEventSource, path) : page.evaluate(openWebSocket, path.split(",")));
  pages.push(page);
}

listen(
  ({ n, text, base64 }) => pages[n].evaluate((payload) => send(payload), { text, base64 }),
  async () => {
    for (const page of pages) await page.evaluate(() => leave().then(allTold));
    await browser.close();
  },
);
