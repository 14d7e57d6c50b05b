// A dashboard needs no client: it only listens, and an EventSource comes back by itself with what was missed. The past minute is
// asked for once; what follows it comes over the stream, from exactly there.
import { answerOf, at, status, watchStream } from "/shared/page.js";

const ROOM = "dashboard:redis";
const NAMES = ["commands", "memory", "clients", "load"];
/** Samples in a chart. */
const SHOWN_MAX = 120;
const SVG = "http://www.w3.org/2000/svg";

const samples = [];
const lines = new Map(NAMES.map((name) => [name, chart(name)]));
let missing = 0;
let isDrawn = false;

function chart(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${SHOWN_MAX - 1} 100`);
  svg.setAttribute("preserveAspectRatio", "none");
  // The figure says the newest value in words.
  svg.setAttribute("aria-hidden", "true");
  const line = svg.appendChild(document.createElementNS(SVG, "polyline"));
  at(name).append(svg);
  return line;
}

function hear(sample) {
  const last = samples.at(-1);
  // A backend that was started again counts from 0.
  if (last && sample.number > last.number) missing += sample.number - last.number - 1;
  samples.push(sample);
  if (samples.length > SHOWN_MAX) samples.shift();
  at("samples").textContent = Number(at("samples").textContent) + 1;
  // Many may come at once; they are drawn together.
  if (!isDrawn) requestAnimationFrame(draw);
  isDrawn = true;
}

function draw() {
  isDrawn = false;
  at("missing").textContent = missing;
  for (const [name, line] of lines) {
    const values = samples.map((sample) => numberOf(sample[name]));
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const y = (value) => (high > low ? 95 - (90 * (value - low)) / (high - low) : 50);
    line.setAttribute("points", values.map((value, x) => `${x},${y(value)}`).join(" "));
    at(name).querySelector("output").textContent = values.at(-1);
  }
}

/** A figure that is none would spoil the whole line. */
function numberOf(value) {
  return Number.isFinite(value) ? value : 0;
}

async function begin() {
  const answer = await answerOf(await fetch(`/rooms/${ROOM}/history?limit=${SHOWN_MAX}`));
  const { id, messages } = await answer.json();
  messages.forEach(({ data }) => hear(data));
  // From the last id on. When the browser comes back it sends the newest one that it has, in Last-Event-ID.
  const source = new EventSource(`/sse?room=${ROOM}&after=${id}`);
  watchStream(source);
  source.addEventListener("message", ({ data }) => hear(JSON.parse(data)));
}

begin().catch((error) => status(`not connected: ${error.message}`));
