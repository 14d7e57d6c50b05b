// Starts a job when it is asked to, and says how far it is: POST /api/jobs?steps=N answers the job's name. Run it with REDIS_URL
// and PORT.
"use strict";
const { randomUUID } = require("node:crypto");
const { createServer } = require("node:http");
const { setTimeout: wait } = require("node:timers/promises");
const { Redis } = require("ioredis");

const redis = new Redis(process.env.REDIS_URL);
redis.on("error", (error) => console.error(error.message));

function say(job, event, data) {
  return redis.fcall("roomcast_publish", 1, `room:jobs:${job}`, JSON.stringify(data), "EVENT", event, "TYPE", "json");
}

/** The work itself is only waiting here. */
async function run(job, steps) {
  try {
    for (let done = 1; done <= steps; done++) {
      await wait(50 + 100 * Math.random());
      await say(job, "progress", { done, steps });
    }
    await say(job, "done", { text: `${steps} steps done` });
  } catch (error) {
    await say(job, "failed", { text: error.message });
  }
}

createServer(({ method, url }, response) => {
  const { pathname, searchParams } = new URL(url, "http://localhost");
  const steps = Number(searchParams.get("steps"));
  if (method !== "POST" || pathname !== "/api/jobs") return response.writeHead(404).end("POST /api/jobs?steps=N");
  if (!(steps >= 1 && steps <= 1000)) return response.writeHead(400).end("a job has 1 to 1000 steps");
  const job = randomUUID();
  response.writeHead(202).end(job);
  run(job, steps).catch((error) => console.error(`${job}: ${error.message}`));
}).listen(process.env.PORT, "127.0.0.1");
