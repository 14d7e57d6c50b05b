// What the page has seen in the last minute, a value a second.

const SECONDS = 60;
const SVG = "http://www.w3.org/2000/svg";

/** A line and its last value, in a figure. A value may be null: nothing to tell about that second. */
export class Chart {
  #values = [];
  #output;
  #line;
  #drawing;
  #name;

  constructor(figure) {
    this.#output = figure.querySelector("output");
    this.#name = figure.querySelector("figcaption").firstChild.data.replace(/:\s*$/, "");
    this.#drawing = document.createElementNS(SVG, "svg");
    this.#drawing.setAttribute("viewBox", `0 0 ${SECONDS - 1} 20`);
    this.#drawing.setAttribute("preserveAspectRatio", "none");
    this.#drawing.setAttribute("role", "img");
    this.#line = document.createElementNS(SVG, "polyline");
    this.#drawing.append(this.#line);
    figure.append(this.#drawing);
    this.#draw();
  }

  add(value) {
    this.#values.push(value);
    if (this.#values.length > SECONDS) this.#values.shift();
    if (value !== null) this.#output.value = String(value);
    this.#draw();
  }

  #draw() {
    const known = this.#values.filter((value) => value !== null);
    const top = Math.max(1, ...known);
    const points = [];
    this.#values.forEach((value, n) => {
      const x = SECONDS - this.#values.length + n;
      if (value !== null) points.push(`${x},${(19 - (value / top) * 18).toFixed(2)}`);
    });
    this.#line.setAttribute("points", points.join(" "));
    this.#drawing.setAttribute("aria-label", `${this.#name}, the last minute: at most ${known.length ? top : "–"}`);
  }
}

/** Messages that this page has published and waits for; the oldest are forgotten. */
const WAITING_MAX = 256;

/** Counts what the charts show. */
export class Meter {
  #arrived = 0;
  #delays = [];
  #waiting = new Map();

  /** Something is about to be published; gives what takes it back. */
  published(room, event, shown) {
    const key = JSON.stringify([room, event, shown]);
    this.#waiting.set(key, performance.now());
    if (this.#waiting.size > WAITING_MAX) this.#waiting.delete(this.#waiting.keys().next().value);
    return () => this.#waiting.delete(key);
  }

  arrived(room, event, shown) {
    this.#arrived += 1;
    const begin = this.#waiting.get(JSON.stringify([room, event, shown]));
    if (begin !== undefined && this.#delays.length < WAITING_MAX) this.#delays.push(performance.now() - begin);
  }

  /** What is on its way will be late, and says nothing about the delay. */
  forget() {
    this.#waiting.clear();
  }

  /** What came since the last call: how many, and the median delay in milliseconds, or null. */
  take() {
    const delays = this.#delays.sort((a, b) => a - b);
    const taken = { count: this.#arrived, delay: delays.length ? Number(delays[delays.length >> 1].toFixed(1)) : null };
    this.#arrived = 0;
    this.#delays = [];
    return taken;
  }
}
