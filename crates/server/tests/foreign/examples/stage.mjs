// What the scripts of this folder share: NAME.mjs {"url", "redis", "log"} opens the page of an example in headless Chromium and ends
// with an error where something is not as a user would see it. It says {"restart": N} when it wants that node killed and started
// again, and goes on with the next line of input. With EXAMPLE_PICTURES it leaves pictures of the page in that folder.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename } from "node:path";
import readline from "node:readline";
import Redis from "ioredis";
import { launch } from "../browser-launch.mjs";
import { say } from "../lines.mjs";

/** How long something may take to be seen. Only bounds a failure. */
const LIMIT_MS = 120_000;
/** How often it is looked whether it is. */
const LOOK_MS = 50;

export const told = JSON.parse(process.argv[2]);
/** What must be shown as text. */
export const HOSTILE = '</li><img src=x onerror="window.pwned=1"><script>window.pwned=1</script>';

const name = basename(process.argv[1], ".mjs");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf8");
const input = readline.createInterface({ input: process.stdin });
// The test has ended, however that was.
input.on("close", () => process.exit());
const redis = new Redis(told.redis);
const browser = await launch();
const pages = [];
const failures = [];

/** The page of the example, in a browser profile of its own. */
export async function open(hash = "", options = {}) {
  const context = await browser.newContext({ viewport: { width: 900, height: 700 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(LIMIT_MS);
  page.on("pageerror", (error) => failures.push(String(error)));
  page.on("console", (line) => /Content.Security|Trusted/.test(line.text()) && failures.push(line.text()));
  const answer = await page.goto(told.url + hash);
  assert.match(answer.headers()["content-security-policy"], /default-src 'none'.*require-trusted-types-for 'script'/);
  pages.push(page);
  return page;
}

/** Waits until one of these elements shows this. */
export async function shows(at, text) {
  try {
    await at.filter({ hasText: text }).first().waitFor({ timeout: LIMIT_MS });
  } catch (error) {
    throw new Error(`not shown: ${text}, but:\n${await at.page().locator("body").innerText()}`, { cause: error });
  }
}

export function connected(page) {
  return shows(page.locator("#status"), /^connected/);
}

/** Waits until `get` gives something that holds. */
export async function until(what, get) {
  const end = Date.now() + LIMIT_MS;
  for (;;) {
    const value = await get();
    if (value) return value;
    assert.ok(Date.now() < end, `waited for two minutes: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

export async function number(at) {
  return Number(await at.textContent());
}

/** Publishes as a backend does: `options` are those of roomcast_publish. */
export function publish(room, data, ...options) {
  const payload = typeof data === "string" || Buffer.isBuffer(data) ? data : JSON.stringify(data);
  return redis.fcall("roomcast_publish", 1, `room:${room}`, payload, ...options);
}

/** Publishes as a backend does that needs no history. */
export function publishPlainly(room, data) {
  return redis.publish(`room:${room}`, JSON.stringify(data));
}

/** Kills a node, and has another in its place. */
export async function restart(node) {
  say({ restart: node });
  await once(input, "line");
}

/** So does every connection break at least once, whichever node it is on. `between` is called when each node is back. */
export async function restartAll(between = () => {}) {
  for (const node of [0, 1]) {
    await restart(node);
    await between(node);
  }
}

/** Nothing of a page is out of reach for somebody who sees little, or has a small screen. */
async function isAccessible(page) {
  const wide = page.viewportSize();
  for (const [what, colorScheme, size] of [["light", "light", wide], ["dark", "dark", wide], ["phone", "light", { width: 360, height: 740 }]]) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(size);
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => axe.run(document));
    const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
    assert.deepEqual(serious.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), [], what);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${what}: nothing is wider than the page`);
    if (process.env.EXAMPLE_PICTURES) await page.screenshot({ path: `${process.env.EXAMPLE_PICTURES}/${name}-${what}.png` });
  }
  await page.emulateMedia({ colorScheme: null });
  await page.setViewportSize(wide);
}

/** What holds for each example, at the end of its script. */
export async function end() {
  await isAccessible(pages[0]);
  for (const page of pages.filter((page) => !page.isClosed())) {
    assert.equal(await page.evaluate(() => globalThis.pwned), undefined);
    assert.equal(await page.locator("main :is(img, script, iframe)").count(), 0);
  }
  assert.deepEqual(failures, []);
  await browser.close();
  await redis.quit();
  say({ done: true });
  input.close();
}
