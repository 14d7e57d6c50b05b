// Tokens for the programs of this folder, as a backend would make them.
import { createHmac } from "node:crypto";

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token with these claims that ends in so many seconds. */
export function mint(secret, seconds, claims) {
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const message = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ ...claims, exp })}`;
  return `${message}.${createHmac("sha256", secret).update(message).digest("base64url")}`;
}

/** A token for everything, unless the claims say otherwise. */
export function mintForAll(secret, seconds, claims) {
  const all = ["*"];
  return mint(secret, seconds, { rooms: { subscribe: all, publish: all, presence: all, history: all }, ...claims });
}
