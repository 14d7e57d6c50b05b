// The same as sdk.mjs in headless Chromium: sdk-chromium.mjs DIST CONFIG…. Each client has a page of its own, which has nothing but the
// package from DIST, unbundled. It is of the origin that the client connects to, which answers that there is no such page. With `isShared`
// in its CONFIG it is a tab beside the others that have it, on an origin of this program, because the script of a SharedWorker has to be
// served; with `hasOneWorker` it makes no second one. `{"n":0,"jump":MS}` has a page's clock jump, if `hasClock`, and
// `{"n":0,"crash":true}` has its process die.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { launch } from "./browser-launch.mjs";
import { listen, say } from "./lines.mjs";
import { mintForAll } from "./tokens.mjs";

const [dist, ...configs] = process.argv.slice(2);

/** Type and content of a part of the package. */
function served(path) {
  const file = path === "/sdk/test.js" ? new URL("./sdk-client.mjs", import.meta.url) : dist + path.slice("/sdk".length);
  return ["text/javascript", readFileSync(file, "utf8")];
}

const server = createServer(({ url }, response) => {
  if (!url.startsWith("/sdk/")) return response.writeHead(404, { "Content-Type": "text/html" }).end("<!doctype html><title>nothing</title>");
  const [type, content] = served(url);
  response.writeHead(200, { "Content-Type": type }).end(content);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

/** Runs in the page. */
async function begin(config) {
  // Each line waits for the one before, so that their order is the page's.
  let told = Promise.resolve();
  globalThis.allTold = () => told;
  const { connect } = await import("/sdk/index.js");
  const { connectShared } = await import("/sdk/shared.js");
  const { start } = await import("/sdk/test.js");
  const makeWorker = () => new SharedWorker("/sdk/worker.js", { type: "module" });
  const worker = config.hasOneWorker ? makeWorker() : makeWorker;
  const sdk = config.isShared ? { connect: (url, options) => connectShared(worker, url, options) } : { connect };
  const extra = config.secret ? { token: (reason) => giveToken(reason) } : {};
  globalThis.client = start(sdk, config, (line) => void (told = told.then(() => tell(line))), extra);
}

const browser = await launch();
// One profile.
const tabs = await browser.newContext();
const pages = [];
for (const [n, text] of configs.entries()) {
  const config = JSON.parse(text);
  const page = await (config.isShared ? tabs : browser).newPage();
  await page.exposeFunction("tell", (line) => say({ n, ...line }));
  await page.exposeFunction("giveToken", (reason) => {
    say({ n, what: "token", reason });
    return mintForAll(config.secret, config.tokenSeconds, { sub: "sdk" });
  });
  page.on("pageerror", (error) => say({ n, what: "rejected", code: "pageerror", message: String(error) }));
  const origin = config.isShared ? `http://127.0.0.1:${server.address().port}` : new URL(config.url).origin;
  if (!config.isShared) {
    await page.route("**/sdk/**", (route) => {
      const [contentType, body] = served(new URL(route.request().url()).pathname);
      return route.fulfill({ contentType, body });
    });
  }
  if (config.hasClock) await page.clock.install();
  await page.goto(`${origin}/no-page`);
  await page.evaluate(begin, config);
  pages.push(page);
}

/** The tab's process ends, as where memory is short. */
async function crash(page) {
  const session = await page.context().newCDPSession(page);
  const crashed = new Promise((resolve) => page.once("crash", resolve));
  // It is never answered.
  session.send("Page.crash").catch(() => {});
  await crashed;
}

const commands = {
  stop: (page) => page.evaluate(() => client.stop()),
  jump: (page, ms) => page.clock.fastForward(ms),
  crash: async (page, _, n) => {
    await crash(page);
    pages[n] = undefined;
    say({ n, what: "gone" });
  },
};

listen(
  ({ n, ...command }) => {
    const [[what, value]] = Object.entries(command);
    if (pages[n]) commands[what](pages[n], value, n);
  },
  async () => {
    for (const page of pages) await page?.evaluate(() => (client.close(), allTold()));
    await browser.close();
    server.close();
  },
);
