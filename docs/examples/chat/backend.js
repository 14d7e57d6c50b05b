// Gives out tokens, in place of your own sign-in, and tells the room who has come. What people say goes from page to page
// through the gateway alone. Run it with REDIS_URL, JWT_SECRET and PORT.
"use strict";
const { createHmac } = require("node:crypto");
const { createServer } = require("node:http");
const { Redis } = require("ioredis");

const { REDIS_URL, JWT_SECRET, PORT } = process.env;
const redis = new Redis(REDIS_URL);
const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Good for five minutes; the page asks for another in time. */
function token(user) {
  const all = ["chat:*"];
  const rooms = { subscribe: all, publish: all, presence: all, history: all };
  const claims = { sub: user, exp: Math.floor(Date.now() / 1000) + 300, rooms };
  const message = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${message}.${createHmac("sha256", JWT_SECRET).update(message).digest("base64url")}`;
}

/** The key keeps it from being said again with the next token. */
function welcome(user) {
  const text = JSON.stringify({ text: `${user} has come in` });
  return redis.fcall("roomcast_publish", 1, "room:chat:lobby", text, "EVENT", "notice", "KEY", `in-${user}`, "TYPE", "json");
}

createServer(async ({ method, url }, response) => {
  const { pathname, searchParams } = new URL(url, "http://localhost");
  const user = searchParams.get("name") ?? "";
  if (method !== "POST" || pathname !== "/api/token") return response.writeHead(404).end("POST /api/token?name=NAME");
  if (!/^[\w.-]{1,30}$/.test(user)) return response.writeHead(400).end("a name has letters, digits and . _ -");
  await welcome(user).then(
    () => response.end(token(user)),
    (error) => response.writeHead(503).end(error.message),
  );
}).listen(PORT, "127.0.0.1");
