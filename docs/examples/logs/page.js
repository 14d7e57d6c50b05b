// The end of a log: what was there, then each line as it comes. Lines are texts that anybody may have had a hand in, by a request with
// a strange name for instance; they are shown as text.
import { answerOf, append, at, element, status, watchStream } from "/shared/page.js";

const ROOM = "logs:web";
/** Lines that are kept. */
const SHOWN_MAX = 1000;
const PAST = 200;
const lines = at("lines");

function hear(text) {
  const line = element("li", text);
  line.hidden = !text.includes(at("filter").value);
  append(lines, line, SHOWN_MAX);
  at("count").textContent = lines.children.length;
}

at("filter").addEventListener("input", () => {
  for (const line of lines.children) line.hidden = !line.textContent.includes(at("filter").value);
});
at("clear").addEventListener("click", () => {
  lines.replaceChildren();
  at("count").textContent = 0;
});

async function open() {
  const answer = await answerOf(await fetch(`/rooms/${ROOM}/history?limit=${PAST}`));
  const { id, messages } = await answer.json();
  messages.forEach(({ data }) => hear(data));
  const source = new EventSource(`/sse?room=${ROOM}&after=${id}`);
  source.addEventListener("message", ({ data }) => hear(data));
  watchStream(source, () => append(lines, element("li", "Some lines are missing here.", "note"), SHOWN_MAX));
}

open().catch((error) => status(`not connected: ${error.message}`));
