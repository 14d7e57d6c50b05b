// Clients of the JavaScript package in Node.js: sdk.mjs DIST CONFIG…; speaks the line protocol of README.md. `{"n":0,"stop":true}`
// ends the publishing of one. A CONFIG with `secret` has tokens of `tokenSeconds` made for it.
import WebSocket from "ws";
import { listen, say } from "./lines.mjs";
import { start } from "./sdk-client.mjs";
import { mintForAll } from "./tokens.mjs";

const [dist, ...configs] = process.argv.slice(2);
const sdk = await import(`${dist}/index.js`);

const clients = configs.map((text, n) => {
  const config = JSON.parse(text);
  const { secret, tokenSeconds, isTokenFixed } = config;
  const mint = () => mintForAll(secret, tokenSeconds, { sub: "sdk" });
  const token = (reason) => {
    say({ n, what: "token", reason });
    return mint();
  };
  const extra = { WebSocket, ...(secret && { token: isTokenFixed ? mint() : token }) };
  return start(sdk, config, (line) => say({ n, ...line }), extra);
});

listen(
  ({ n }) => clients[n].stop(),
  () => clients.forEach((client) => client.close()),
);
