// The progress of one job, in a room of its own. The job may begin before the page listens: history has what was said until then. Its
// name stands behind the # of the address, so that the page may be loaded again, or be sent to somebody else.
import { answerOf, at, status, watchStream } from "/shared/page.js";

let source;

at("start").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const answer = await answerOf(await fetch(`/api/jobs?steps=${at("steps").value}`, { method: "POST" }));
    location.hash = await answer.text();
  } catch (error) {
    at("said").textContent = `Not started: ${error.message}`;
  }
});

async function follow(job) {
  source?.close();
  const room = `jobs:${job}`;
  at("job").textContent = job;
  at("bar").value = 0;
  at("said").textContent = "Waiting for its first word.";
  const answer = await answerOf(await fetch(`/rooms/${encodeURIComponent(room)}/history?limit=500`));
  const { id, messages } = await answer.json();
  // Another one was started meanwhile.
  if (at("job").textContent !== job) return;
  source = new EventSource(`/sse?${new URLSearchParams({ room, after: id })}`);
  watchStream(source);
  for (const name of ["progress", "done", "failed"]) {
    source.addEventListener(name, ({ data }) => hear(name, JSON.parse(data)));
  }
  for (const { event, data } of messages) hear(event, data);
}

function hear(event, { done, steps, text }) {
  if (event === "progress") {
    at("bar").max = steps;
    at("bar").value = done;
    at("said").textContent = `${done} of ${steps} steps`;
    return;
  }
  if (event === "done") at("bar").value = at("bar").max;
  at("said").textContent = `${event}: ${text}`;
  // Nothing follows: an open EventSource would come back for ever.
  source.close();
  status("finished", true);
}

function followHash() {
  const job = decodeURIComponent(location.hash.slice(1));
  if (job) follow(job).catch((error) => status(`not connected: ${error.message}`));
}

addEventListener("hashchange", followHash);
followHash();
