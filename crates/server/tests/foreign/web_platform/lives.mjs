// Workers, frames and pages, and what is left at the gateway when they go.
import assert from "node:assert/strict";

/** In a worker: a stream, a WebSocket, and a message through both. */
async function useBoth({ origin, room }) {
  const stream = source(`${origin}/sse?room=${room}`);
  const both = socket(`${origin}/ws?room=${room}`);
  await Promise.all([stream.next("connected"), both.next("open")]);
  await post(`${origin}/rooms/${room}/messages`, "to a worker");
  return [(await stream.next("message")).data, (await both.next("message")).data, globalThis.constructor.name];
}

/** In a page: one of each, kept. */
async function openBoth({ origin, room }) {
  globalThis.kept = [source(`${origin}/sse?room=${room}`), socket(`${origin}/ws?room=${room}`)];
  await Promise.all([kept[0].next("connected"), kept[1].next("open")]);
}

const WORKERS = [
  ["dedicated", "DedicatedWorkerGlobalScope", ["eventsource/dedicated-worker/eventsource-onopen", "eventsource/dedicated-worker/eventsource-onmesage"]],
  ["shared", "SharedWorkerGlobalScope", ["eventsource/shared-worker/eventsource-onopen", "eventsource/shared-worker/eventsource-eventtarget"]],
];

export const lives = [
  ...WORKERS.map(([kind, name, wpt]) => ({
    wpt: [...wpt, "eventsource/dedicated-worker/eventsource-constructor-non-same-origin"],
    must: `serve a ${kind} worker as it serves a page, also of another origin`,
    check: async (place) => {
      const page = await place.page(place.listed);
      const heard = await place.inWorker(page, kind, useBoth, { origin: place.origin("one"), room: place.room });
      assert.deepEqual(heard, ["to a worker", "to a worker", name]);
    },
  })),
  {
    wpt: ["websockets/Create-on-worker-shutdown", "eventsource/shared-worker/eventsource-close"],
    must: "know that a worker was ended",
    check: async (place) => {
      const page = await place.page(place.listed);
      await place.inWorker(page, "dedicated", openBoth, { origin: place.origin("one"), room: place.room });
      await place.untilConnections(2);
      await page.evaluate(() => workers[0].terminate());
      await place.untilConnections(0);
      await place.inWorker(page, "shared", openBoth, { origin: place.origin("one"), room: place.room });
      await place.untilConnections(2);
      await page.close();
      await place.untilConnections(0);
    },
  },
  {
    wpt: ["websockets/unload-a-document/001", "websockets/unload-a-document/005"],
    must: "know that a page was left, as soon as it is",
    check: async (place) => {
      const page = await place.page();
      for (const leave of [() => page.goto("about:blank"), () => page.reload(), () => page.close()]) {
        await page.goto(`${place.origin("one")}/no-page`);
        await page.evaluate(openBoth, { origin: "", room: place.room });
        await place.untilConnections(2);
        await leave();
        await place.untilConnections(0);
      }
    },
  },
  {
    wpt: ["websockets/remove-own-iframe-during-onerror", "websockets/unload-a-document/003"],
    must: "know that a frame was removed from its page",
    check: async (place) => {
      const page = await place.page(place.listed);
      await page.evaluate((src) => {
        const frame = document.body.appendChild(document.createElement("iframe"));
        return new Promise((resolve) => Object.assign(frame, { src, onload: resolve }));
      }, `${place.listed}/frame`);
      await page.frames()[1].evaluate(openBoth, { origin: place.origin("one"), room: place.room });
      await place.untilConnections(2);
      await page.evaluate(() => document.querySelector("iframe").remove());
      await place.untilConnections(0);
    },
  },
  {
    wpt: ["eventsource/eventsource-bfcache", "websockets/back-forward-cache-with-open-websocket-connection"],
    must: "not be kept by a page that the browser keeps for going back to; going back begins anew",
    check: async (place) => {
      const page = await place.page(place.listed);
      await page.evaluate(openBoth, { origin: place.origin("one"), room: place.room });
      await place.untilConnections(2);
      await page.goto(`${place.foreign}/elsewhere`);
      await place.untilConnections(0);
      await page.goBack();
      assert.equal(new URL(page.url()).origin, place.listed);
      assert.equal(await page.evaluate(() => globalThis.kept?.length), undefined);
      await page.evaluate(openBoth, { origin: place.origin("one"), room: place.room });
      await place.untilConnections(2);
    },
  },
];
