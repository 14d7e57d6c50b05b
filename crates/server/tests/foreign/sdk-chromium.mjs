// The same as sdk.mjs in pages of headless Chromium: sdk-chromium.mjs DIST CONFIG…. Each client has a page of its own, served by the
// gateway that it connects to; the package comes from DIST, unbundled.
import { readFileSync } from "node:fs";
import { launch } from "./browser-launch.mjs";
import { listen, say } from "./lines.mjs";

const [dist, ...configs] = process.argv.slice(2);
const browser = await launch();
const pages = [];
for (const [n, text] of configs.entries()) {
  const config = JSON.parse(text);
  const page = await browser.newPage();
  await page.exposeFunction("tell", (line) => say({ n, ...line }));
  page.on("pageerror", (error) => say({ n, what: "rejected", code: "pageerror", message: String(error) }));
  await page.route("**/sdk/**", (route) => {
    const name = new URL(route.request().url()).pathname.replace("/sdk/", "");
    const file = name === "test.js" ? new URL("./sdk-client.mjs", import.meta.url) : `${dist}/${name}`;
    return route.fulfill({ contentType: "text/javascript", body: readFileSync(file, "utf8") });
  });
  await page.goto(config.url);
  await page.evaluate(async (config) => {
    // Each line waits for the one before, so that their order is the page's.
    let told = Promise.resolve();
    globalThis.allTold = () => told;
    const sdk = await import("/sdk/index.js");
    const { start } = await import("/sdk/test.js");
    globalThis.client = start(sdk, config, (line) => void (told = told.then(() => tell(line))), {});
  }, config);
  pages.push(page);
}

listen(
  ({ n }) => pages[n].evaluate(() => client.stop()),
  async () => {
    for (const page of pages) await page.evaluate(() => (client.close(), allTold()));
    await browser.close();
  },
);
