// A backend with npm `ioredis`: redis.mjs URL; publishes what the line protocol of README.md says.
import Redis from "ioredis";
import { listen, say } from "./lines.mjs";

const redis = new Redis(process.argv[2]);
redis.once("ready", () => say({ n: 0, what: "open" }));

listen(
  async ({ channel }, payload) => say({ n: 0, what: "done", answer: await redis.publish(channel, payload) }),
  () => redis.quit(),
);
