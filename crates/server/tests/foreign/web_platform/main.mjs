// The interface as browsers see it: a list made after the names of the Web Platform Tests for eventsource, websockets and cors, each with
// what the gateway must do, tried in headless Chromium. main.mjs WORLD, as tests/web_platform.rs writes it. Says {"item": …} for each, with
// `wrong` where it does not hold, and asks {"kill": NODE} or {"term": NODE}, which a line of input answers. The tests themselves are for
// browsers; none of their code is here.
import readline from "node:readline";
import Redis from "ioredis";
import { say } from "../lines.mjs";
import { mintForAll } from "../tokens.mjs";
import { closing } from "./closing.mjs";
import { crossOrigin } from "./cross_origin.mjs";
import { events } from "./events.mjs";
import { lives } from "./lives.mjs";
import { payloads } from "./payloads.mjs";
import { sockets } from "./sockets.mjs";
import { World } from "./world.mjs";

/** Items that run at once: most of their time they wait. */
const AT_ONCE = 4;

const setting = JSON.parse(process.argv[2]);
const input = readline.createInterface({ input: process.stdin });
const world = await World.open(setting, input);
world.redis = new Redis(setting.redis);
world.mint = (claims, seconds = 600) => mintForAll(setting.secret, seconds, claims);

const chapters = { payloads, events, crossOrigin, sockets, closing, lives };
const items = Object.entries(chapters).flatMap(([chapter, list]) => list.map((item) => ({ chapter, ...item })));
const waiting = items.map((item, number) => ({ ...item, number })).filter(({ must }) => must.includes(process.env.WEB_PLATFORM_ONLY ?? ""));
const run = async () => {
  for (let item; (item = waiting.shift()); ) {
    const { check, number, ...what } = item;
    const begin = performance.now();
    const wrong = await world.run(check, number);
    say({ item: { ...what, ms: Math.round(performance.now() - begin), wrong } });
  }
};
await Promise.all(Array.from({ length: AT_ONCE }, run));
await world.close();
world.redis.disconnect();
input.close();
