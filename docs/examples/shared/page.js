// What the pages share: finding and making elements, and the line that says how the page is connected.

/** The element with this id. */
export const at = (id) => document.getElementById(id);

/** A new element that shows a text. What others have sent is shown as text, and nothing else. */
export function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

/** Appends to a list that keeps the newest `most`, and stays at its end unless somebody is reading further up. */
export function append(list, item, most) {
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(item);
  while (list.children.length > most) list.firstElementChild.remove();
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

/** Says how the page is connected. */
export function status(text, isUp = false) {
  at("status").textContent = text;
  at("status").classList.toggle("up", isUp);
}

/**
 * Says it of an EventSource, and calls `missed` where messages are missing that history cannot give. It connects again by itself,
 * unless it was answered with an HTTP error: then it has given up.
 */
export function watchStream(source, missed = () => {}) {
  source.addEventListener("connected", ({ data }) => {
    const { node, rooms } = JSON.parse(data);
    status(`connected to ${node}`, true);
    if (Object.values(rooms).some((verdict) => verdict.missed)) missed();
  });
  source.addEventListener("reset", missed);
  source.addEventListener("error", () => {
    const hasGivenUp = source.readyState === EventSource.CLOSED;
    status(hasGivenUp ? "refused: load the page again" : "connecting again …");
  });
}

/** Says it of a client of the package. */
export function watchClient(client) {
  client.on("status", ({ state, node }) => {
    if (state === "connected") status(`connected to ${node}`, true);
    else if (state !== "closed") status("connecting …");
  });
  client.on("closed", (error) => status(error ? `ended: ${error.message}` : "not connected"));
}

/** An error of `fetch` as the text of its answer, a problem of the gateway (RFC 9457) by its `detail`. */
export async function answerOf(response) {
  if (response.ok) return response;
  const text = await response.text();
  const isProblem = response.headers.get("Content-Type") === "application/problem+json";
  throw new Error(isProblem ? JSON.parse(text).detail : text || `HTTP status ${response.status}`);
}
