// The line protocol of README.md: one JSON object per line on standard input and output.
import readline from "node:readline";

/** Prints one object. */
export function say(object) {
  process.stdout.write(JSON.stringify(object) + "\n");
}

/** A received message: what libraries give as string or bytes. */
export function message(n, data, isBinary, more = {}) {
  const bytes = Buffer.from(data);
  say({ n, what: "message", ...more, ...(isBinary ? { base64: bytes.toString("base64") } : { text: bytes.toString() }) });
}

/** Calls `command(object, payload)` for each line of input, then `end()`. */
export function listen(command, end) {
  const input = readline.createInterface({ input: process.stdin });
  input.on("line", (line) => {
    const object = JSON.parse(line);
    command(object, "base64" in object ? Buffer.from(object.base64, "base64") : object.text);
  });
  input.on("close", end);
}
