// Messages with a name: an EventSource hears those of the names that it listens to, and no others.
import { answerOf, at, element, status, watchStream } from "/shared/page.js";

const ROOM = "orders:shop";
/** Orders that are shown. */
const SHOWN_MAX = 100;
const rows = new Map();

function hear({ order, status }) {
  const row = rows.get(order) ?? begin(order);
  const [, now, before] = row.children;
  before.textContent = [before.textContent, now.textContent].filter(Boolean).join(" → ");
  now.textContent = status;
  at("heard").textContent = Number(at("heard").textContent) + 1;
}

function begin(order) {
  const row = element("tr");
  const name = element("th", `#${order}`);
  name.scope = "row";
  row.append(name, element("td"), element("td", "", "soft"));
  at("orders").prepend(row);
  rows.set(order, row);
  if (rows.size > SHOWN_MAX) {
    const [oldest] = rows.keys();
    rows.get(oldest).remove();
    rows.delete(oldest);
  }
  return row;
}

async function open() {
  const answer = await answerOf(await fetch(`/rooms/${ROOM}/history?limit=100`));
  const { id, messages } = await answer.json();
  for (const { event, data } of messages) if (event === "order") hear(data);
  const source = new EventSource(`/sse?room=${ROOM}&after=${id}`);
  source.addEventListener("order", ({ data }) => hear(JSON.parse(data)));
  watchStream(source, () => (at("missed").textContent = "Some updates are missing. Load the page again to see where the orders are."));
}

open().catch((error) => status(`not connected: ${error.message}`));
