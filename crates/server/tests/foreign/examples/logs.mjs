// A line that is written is seen: those that were there, each new one once, also where nodes die, and always as text.
import assert from "node:assert/strict";
import { appendFile } from "node:fs/promises";
import { HOSTILE, connected, end, number, open, restartAll, shows, told, until } from "./stage.mjs";

const page = await open();
await connected(page);
const lines = page.locator("#lines li");
// The file is the access log of what serves this page: whoever asks for something writes it.
await page.evaluate(() => fetch("/logs/style.css?written-by-a-request"));
await shows(lines, "GET /logs/style.css?written-by-a-request");
const names = ["User-Agent", "Referer"];
await fetch(told.url, { headers: Object.fromEntries(names.map((name) => [name, "<img src=x onerror=window.pwned=1>"])) });
await shows(lines, "<img src=x onerror=window.pwned=1>");
await appendFile(told.log, `${HOSTILE}\n{"json": true}\n\\x41 "quoted" $HOME \`id\` %s\n`);
await shows(lines, HOSTILE);
await shows(lines, '{"json": true}');
await shows(lines, '\\x41 "quoted" $HOME `id` %s');
// What is not UTF-8 is left out.
await appendFile(told.log, Buffer.from([0x61, 0xff, 0xfe, 0x62, 0x0a]));
await shows(lines, /^ab$/);

const numbered = async (page) => (await page.locator("#lines li").allTextContents()).filter((line) => line.startsWith("line "));
let written = 0;
const write = (count) => appendFile(told.log, Array.from({ length: count }, () => `line ${written++}\n`).join(""));
await write(5);
await restartAll(() => write(5));
await until("all lines are there", async () => (await numbered(page)).length >= written);
const expected = Array.from({ length: written }, (_, n) => `line ${n}`);
assert.deepEqual(await numbered(page), expected);
await connected(page);
const late = await open();
await until("the past is there", async () => (await numbered(late)).length >= written);
assert.deepEqual(await numbered(late), expected);

await page.getByLabel("Only lines with").fill("line 1");
const shown = page.locator("#lines li:visible");
assert.deepEqual(await shown.allTextContents(), expected.filter((line) => line.includes("line 1")));
await write(1);
await until("filtered as they come", async () => (await numbered(page)).length === written);
assert.deepEqual(await shown.allTextContents(), Array.from({ length: written }, (_, n) => `line ${n}`).filter((line) => line.includes("line 1")));
await page.getByLabel("Only lines with").fill("");
await page.getByRole("button", { name: "Clear" }).click();
await until("it is empty", async () => (await number(page.locator("#count"))) < written);
await appendFile(told.log, "after that\n");
await shows(lines, "after that");
await end();
