// Publishes invented prices, each symbol in a room of its own: ten times a second, all in one round trip to Redis. A plain
// PUBLISH is enough, because nobody asks for yesterday's price. Run it with REDIS_URL.
"use strict";
const { Redis } = require("ioredis");

const redis = new Redis(process.env.REDIS_URL);
redis.on("error", (error) => console.error(error.message));
const prices = { ACME: 120, BOLT: 45.5, CORD: 310, DUNE: 8.25, ECHO: 72, FERN: 19.9 };

async function tick() {
  const pipeline = redis.pipeline();
  for (const symbol of Object.keys(prices)) {
    prices[symbol] *= 1 + (Math.random() - 0.5) / 200;
    pipeline.publish(`room:ticker:${symbol}`, JSON.stringify({ price: prices[symbol].toFixed(2), time: Date.now() }));
  }
  // Each command has its own error; the next tick has newer prices anyway.
  await pipeline.exec();
}

setInterval(() => tick().catch((error) => console.error(error.message)), 100);
