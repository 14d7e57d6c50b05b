// Notifications to one user, in the room that is nobody else's: @name, which a signed-in client is in by itself. What came since they
// were last read comes when the page is opened again, because the page keeps the id up to which they were read.
import { connect } from "/sdk/index.js";
import { answerOf, append, at, element, watchClient } from "/shared/page.js";

/** Notifications that are shown. */
const SHOWN_MAX = 100;

at("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  at("sign-in").hidden = true;
  at("inbox").hidden = false;
  at("me").textContent = at("name").value;
  open(at("name").value);
});

function open(me) {
  // The token lasts a minute. Before the connection ends for that, or when it has, another one is asked for here.
  const token = async () => {
    const answer = await fetch(`/api/token?name=${encodeURIComponent(me)}`, { method: "POST" });
    return (await answerOf(answer)).text();
  };
  const client = connect("/", { token });
  watchClient(client);
  const readUpTo = `notifications-read-by-${me}`;
  const room = client.room(`@${me}`, { after: localStorage.getItem(readUpTo) ?? undefined });
  room.on("message", ({ data }) => show(data));
  room.on("missed", () => append(at("list"), element("li", "Older notifications are gone.", "note"), SHOWN_MAX));
  // Who has read nothing yet begins here: what comes from now on is unread.
  room.on("joined", ({ id }) => {
    if (id && !localStorage.getItem(readUpTo)) localStorage.setItem(readUpTo, id);
  });
  at("read").addEventListener("click", () => {
    if (room.id) localStorage.setItem(readUpTo, room.id);
    for (const line of at("list").children) line.classList.remove("own");
    count();
  });
}

function show({ text, time }) {
  const line = element("li", "", "own");
  line.append(element("b", new Date(time * 1000).toLocaleTimeString()), String(text));
  append(at("list"), line, SHOWN_MAX);
  count();
}

function count() {
  const unread = at("list").querySelectorAll(".own").length;
  at("unread").textContent = unread;
  document.title = unread ? `(${unread}) Notifications · roomcast` : "Notifications · roomcast";
}

// The other side: somebody who causes a notification.
let key;
at("notify").addEventListener("input", () => (key = undefined));
at("notify").addEventListener("submit", async (event) => {
  event.preventDefault();
  // Pressed twice, or again after an error, it is the same notification.
  key ??= crypto.randomUUID();
  try {
    const headers = { "Content-Type": "text/plain", "Idempotency-Key": key };
    const path = `/api/notify?name=${encodeURIComponent(at("to").value)}`;
    await answerOf(await fetch(path, { method: "POST", headers, body: at("text").value }));
    at("answer").textContent = "Sent.";
  } catch (error) {
    at("answer").textContent = `Not sent: ${error.message}`;
  }
});
