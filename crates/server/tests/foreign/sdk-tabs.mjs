// The same as sdk.mjs in tabs of headless Chromium that share one connection: sdk-tabs.mjs DIST CONFIG…. The pages and the package are
// served by this program, because the script of a SharedWorker has to be.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { launch } from "./browser-launch.mjs";
import { listen, say } from "./lines.mjs";

const [dist, ...configs] = process.argv.slice(2);
const server = createServer(({ url }, response) => {
  const [type, content] = url.startsWith("/sdk/")
    ? ["text/javascript", readFileSync(url === "/sdk/test.js" ? new URL("./sdk-client.mjs", import.meta.url) : dist + url.slice("/sdk".length))]
    : ["text/html", "<!doctype html><title>a tab</title>"];
  response.writeHead(200, { "Content-Type": type }).end(content);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

const browser = await launch();
// Tabs of one profile.
const context = await browser.newContext();
const pages = [];
for (const [n, text] of configs.entries()) {
  const page = await context.newPage();
  await page.exposeFunction("tell", (line) => say({ n, ...line }));
  page.on("pageerror", (error) => say({ n, what: "rejected", code: "pageerror", message: String(error) }));
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.evaluate(async (config) => {
    // Each line waits for the one before, so that their order is the page's.
    let told = Promise.resolve();
    globalThis.allTold = () => told;
    const { connectShared } = await import("/sdk/shared.js");
    const { start } = await import("/sdk/test.js");
    const worker = new SharedWorker("/sdk/worker.js", { type: "module" });
    const connect = (url, options) => connectShared(worker, url, options);
    globalThis.client = start({ connect }, config, (line) => void (told = told.then(() => tell(line))), {});
  }, JSON.parse(text));
  pages.push(page);
}

listen(
  ({ n }) => pages[n].evaluate(() => client.stop()),
  async () => {
    for (const page of pages) await page.evaluate(() => (client.close(), allTold()));
    await browser.close();
    server.close();
  },
);
