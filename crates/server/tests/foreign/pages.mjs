// What the programs have in common that look at pages of the gateway in headless Chromium.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf8");

/** How long anything may take, in milliseconds. Only bounds a failure. */
const PATIENCE_MS = 120_000;

/** Payloads, and names where they may have any characters, that must stay text. */
export const HOSTILE = [
  '<img src=x onerror="window.pwned=1">',
  "<script>window.pwned=1</script>",
  "</pre></li></ol></td></table><svg onload=window.pwned=1>",
  "x".repeat(20_000),
];

/** What went wrong in pages without anybody asking; to be empty at the end. */
export const failures = [];

/** A page at this address in a profile of its own, with nothing wrong in it. */
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 1100 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.on("pageerror", (error) => failures.push(`${url}: ${error}`));
  page.on("console", (line) => line.type() === "error" && /Content.Security|Trusted/.test(line.text()) && failures.push(line.text()));
  const response = await page.goto(url);
  assert.match(response.headers()["content-security-policy"], /default-src 'none'/);
  return page;
}

export const press = (at, name) => at.getByRole("button", { name, exact: true }).click();

/** Waits until there is an element with this text; where there is none, says what there is. */
export async function says(at, text) {
  try {
    await at.filter({ hasText: text }).first().waitFor({ timeout: PATIENCE_MS });
  } catch (error) {
    throw new Error(`not ${text}, but ${JSON.stringify(await at.allTextContents())}`, { cause: error });
  }
}

/** Nothing became markup that runs, and nothing made the page wider than its window. */
export async function unharmed(page, what) {
  assert.equal(await page.evaluate(() => globalThis.pwned), undefined, what);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${what}: nothing is too wide`);
}

/** axe-core finds nothing serious, in light and in dark. */
export async function accessible(page, what) {
  await page.evaluate(axe);
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    const { violations } = await page.evaluate(() => axe.run(document));
    const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
    assert.deepEqual(serious.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), [], `${what}, ${colorScheme}`);
  }
}

/** Presses Tab until something is in focus that a keyboard's user takes for `name`; there is a ring around all that is met. */
export async function tabTo(page, name, keys = "Tab") {
  for (let n = 0; n < 60; n++) {
    await page.keyboard.press(keys);
    const { label, ring } = await page.evaluate(() => {
      const at = document.activeElement;
      const label = at.getAttribute("aria-label") ?? at.labels?.[0]?.firstChild.data ?? at.textContent;
      return { label: label.trim(), ring: getComputedStyle(at).outlineStyle };
    });
    if (await page.evaluate(() => document.activeElement === document.body)) continue;
    assert.equal(ring, "solid", `the focus on ${label} can be seen`);
    if (label === name) return;
  }
  assert.fail(`the keyboard does not lead to ${name}`);
}

/** A token of HS256 for an hour. */
export function signed(secret, claims) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ exp: Math.floor(Date.now() / 1000) + 3600, ...claims })}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}
