// Streams of npm `eventsource`: sse.mjs PORT PATH COUNT [EVENT…]; speaks the line protocol of README.md.
// Named events are told to a listener of their own only, so each has to be an argument.
import { EventSource } from "eventsource";
import { listen, say } from "./lines.mjs";

const [port, path, count, ...events] = process.argv.slice(2);
const sources = [];

for (let n = 0; n < Number(count); n++) {
  const source = new EventSource(`http://127.0.0.1:${port}${path}`);
  sources.push(source);
  for (const event of ["message", "message;base64", ...events]) {
    const binary = event.endsWith(";base64");
    source.addEventListener(event, ({ data, lastEventId }) => {
      say({ n, what: "message", event, ...(binary ? { base64: data } : { text: data }), id: lastEventId });
    });
  }
  source.onerror = ({ code, message }) => console.error(`stream ${n}: ${code ?? ""} ${message ?? "ended"}`);
  await new Promise((resolve) => {
    source.addEventListener("connected", ({ data }) => {
      say({ n, what: "open", text: data });
      resolve();
    });
  });
}

listen(
  () => { throw new Error("an EventSource cannot send"); },
  () => sources.forEach((source) => source.close()),
);
