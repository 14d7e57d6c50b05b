// A cursor of the backend's own that goes round in a circle, as eight bytes: who (32 bits), x and y (16 bits each, of the area's
// width and height). TYPE says that they are bytes; without it, bytes that happen to be UTF-8 would be sent as text.
// Run it with REDIS_URL.
"use strict";
const { Redis } = require("ioredis");

const WHO = 1;
const redis = new Redis(process.env.REDIS_URL);
redis.on("error", (error) => console.error(error.message));

function position(angle) {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32BE(WHO, 0);
  bytes.writeUInt16BE(Math.round(0xffff * (0.5 + 0.3 * Math.cos(angle))), 4);
  bytes.writeUInt16BE(Math.round(0xffff * (0.5 + 0.3 * Math.sin(angle))), 6);
  return bytes;
}

function move() {
  const publish = redis.fcall("roomcast_publish", 1, "room:cursors:board", position(Date.now() / 1000), "TYPE", "bytes");
  publish.catch((error) => console.error(error.message));
}

setInterval(move, 100);
