// Two pages see each other's cursors, and the backend's, also when they had to connect again; whatever else is sent is not shown.
import assert from "node:assert/strict";
import { HOSTILE, connected, end, number, open, publish, restartAll, shows, until } from "./stage.mjs";

const one = await open(), other = await open();
for (const page of [one, other]) await connected(page);
const others = (page) => number(page.locator("#others"));
const at = (page, who) => page.locator(`.cursor[data-who="${who}"]`);
const place = (page, who) => at(page, who).evaluate(({ style }) => [style.left, style.top].map(parseFloat));

// The backend's goes round.
const begin = await until("the backend's cursor is there", async () => (await at(one, 1).count()) && place(one, 1));
await until("it moves", async () => (await place(one, 1)).join() !== begin.join());
assert.equal(await others(one), 1);

async function moveTo(page, x, y) {
  const box = await page.locator("#area").boundingBox();
  await page.mouse.move(box.x + box.width * x, box.y + box.height * y);
}
const isNear = ([x, y], [wantedX, wantedY]) => Math.abs(x - wantedX) < 1 && Math.abs(y - wantedY) < 1;

// Who sees whom: the one that a page sees beside the backend's.
const seenBy = (page, mine) => page.locator(".cursor").evaluateAll((dots, mine) => dots.map((dot) => dot.dataset.who).find((who) => who !== "1" && who !== mine), mine);
await moveTo(one, 0.25, 0.5);
const first = await until("the other sees it", () => seenBy(other));
await until("where it is", async () => isNear(await place(other, first), [25, 50]));
await moveTo(other, 0.75, 0.2);
const second = await until("and the other way round", () => seenBy(one, first));
await until("where it is", async () => isNear(await place(one, second), [75, 20]));
await shows(other.locator("#mine"), "Your cursor is at 75 %, 20 %.");

// By keyboard.
await one.locator("#area").focus();
for (let n = 0; n < 5; n++) await one.keyboard.press("ArrowRight");
await until("it has moved", async () => isNear(await place(other, first), [35, 50]));

await restartAll();
for (const page of [one, other]) await connected(page);
await moveTo(one, 0.5, 0.9);
await until("they see each other again", async () => isNear(await place(other, first), [50, 90]));

// What is no position is not shown.
for (const data of [HOSTILE, Buffer.alloc(7), Buffer.alloc(9), '{"x":1}']) await publish("cursors:board", data);
const marker = Buffer.from([0xff, 0, 0, 2, 0x80, 0, 0x80, 0]);
await publish("cursors:board", marker, "TYPE", "bytes");
const who = marker.readUInt32BE(0);
await until("what came after it is", () => at(one, who).count());
assert.equal(await others(one), 3);
// It says nothing more; and who has closed his page is gone.
await other.context().close();
await until("they are gone", async () => (await others(one)) === 1);
// However many are made up.
for (let n = 0; n < 300; n++) await publish("cursors:board", Buffer.from([0xfe, 0, n >> 8, n & 0xff, 0, 0, 0, 0]), "TYPE", "bytes");
await until("no more than that are shown", async () => (await others(one)) === 100);
await end();
