// Runs a page's script as it is: browser.mjs PORT FILE. The page has what a browser would give it here:
// `location` on PORT, WebSocket (npm `ws`) and EventSource (npm `eventsource`). It ends with its input.
import { readFileSync } from "node:fs";
import { runInThisContext } from "node:vm";
import { EventSource } from "eventsource";
import WebSocket from "ws";

const [port, file] = process.argv.slice(2);
Object.assign(globalThis, { WebSocket, EventSource, location: { host: `127.0.0.1:${port}`, protocol: "http:" } });
runInThisContext(readFileSync(file, "utf8"), { filename: file });
process.stdin.on("end", () => process.exit()).resume();
