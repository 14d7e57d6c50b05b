// Many rooms over one EventSource: with format=json each message says which room it is of. Nothing is kept and nothing asked for
// again, because the next price replaces the last.
import { at, element, watchStream } from "/shared/page.js";

const SYMBOLS = ["ACME", "BOLT", "CORD", "DUNE", "ECHO", "FERN"];

const rows = new Map(SYMBOLS.map((symbol) => [`ticker:${symbol}`, row(symbol)]));
const changed = new Set();

function row(symbol) {
  const cells = [element("th", symbol), element("td", "–"), element("td"), element("td", "0")];
  cells[0].scope = "row";
  const line = element("tr");
  line.append(...cells);
  at("prices").append(line);
  return { cells, price: undefined, shown: undefined, skipped: 0 };
}

const query = new URLSearchParams([...rows.keys()].map((room) => ["room", room]));
const source = new EventSource(`/sse?${query}&format=json`);
watchStream(source);

source.addEventListener("message", ({ data }) => {
  const { room, data: quote } = JSON.parse(data);
  change(room, (row) => (row.price = Number(quote.price)));
});

// This page was too slow for `count` prices of the room. The next message is the newest.
source.addEventListener("dropped", ({ data }) => {
  const { room, count } = JSON.parse(data);
  change(room, (row) => (row.skipped += count));
});

/** Draws with the next frame: of ten prices between two frames only the last is worth the work. */
function change(room, how) {
  const row = rows.get(room);
  if (!row) return;
  how(row);
  if (!changed.size) requestAnimationFrame(draw);
  changed.add(row);
}

function draw() {
  for (const row of changed) {
    const [, price, difference, skipped] = row.cells;
    const by = row.price - (row.shown ?? row.price);
    row.shown = row.price;
    price.textContent = Number.isFinite(row.price) ? row.price.toFixed(2) : "–";
    // The sign says it, too: not everybody sees the colour.
    difference.textContent = by > 0 ? `▲ +${by.toFixed(2)}` : by < 0 ? `▼ ${by.toFixed(2)}` : "";
    difference.className = by > 0 ? "rises" : "falls";
    skipped.textContent = row.skipped;
  }
  changed.clear();
}
