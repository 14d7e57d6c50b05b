// A backend as Redis tutorials have it; nothing in it is made for this server.
const Redis = require("ioredis");

const redis = new Redis(process.env.REDIS_URL);

async function main() {
  await redis.publish("room:a", JSON.stringify({ type: "news", text: "from the backend" }));
  await redis.quit();
}

main();
