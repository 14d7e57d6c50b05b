// Clients of the JavaScript package in Node.js: sdk.mjs DIST CONFIG…; speaks the line protocol of README.md. `{"n":0,"stop":true}`
// ends the publishing of one. A CONFIG with `secret` has tokens of `tokenSeconds` made for it.
import { createHmac } from "node:crypto";
import WebSocket from "ws";
import { listen, say } from "./lines.mjs";
import { start } from "./sdk-client.mjs";

const [dist, ...configs] = process.argv.slice(2);
const sdk = await import(`${dist}/index.js`);

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token of the user `sdk` for everything. */
export function mint(secret, seconds) {
  const all = ["*"];
  const rooms = { subscribe: all, publish: all, presence: all, history: all };
  const claims = { sub: "sdk", exp: Math.floor(Date.now() / 1000) + seconds, rooms };
  const message = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${message}.${createHmac("sha256", secret).update(message).digest("base64url")}`;
}

const clients = configs.map((text, n) => {
  const config = JSON.parse(text);
  const { secret, tokenSeconds, isTokenFixed } = config;
  const token = (reason) => {
    say({ n, what: "token", reason });
    return mint(secret, tokenSeconds);
  };
  const extra = { WebSocket, ...(secret && { token: isTokenFixed ? mint(secret, tokenSeconds) : token }) };
  return start(sdk, config, (line) => say({ n, ...line }), extra);
});

listen(
  ({ n }) => clients[n].stop(),
  () => clients.forEach((client) => client.close()),
);
