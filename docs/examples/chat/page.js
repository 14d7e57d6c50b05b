// A chat by the client package: one connection for messages both ways and for who is there. It comes back by itself, with what was
// missed, and sends again what had no answer.
import { connect } from "/sdk/index.js";
import { answerOf, append, at, element, status, watchClient } from "/shared/page.js";

const ROOM = "chat:lobby";
/** Messages that are shown, and asked for at the beginning. */
const SHOWN_MAX = 200;
const PAST = 50;
const messages = at("messages");

at("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  at("sign-in").hidden = true;
  at("room").hidden = false;
  enter(at("name").value);
  at("text").focus();
});

function enter(me) {
  // Asked for now, and again whenever the token has ended. If this throws it is asked for again later.
  const token = async () => {
    const answer = await fetch(`/api/token?name=${encodeURIComponent(me)}`, { method: "POST" });
    return (await answerOf(answer)).text();
  };
  const client = connect("/", { token });
  watchClient(client);
  const room = client.room(ROOM);
  room.on("message", (message) => show(message, me));
  room.on("joined", ({ resumed }) => resumed || showPast(room, me));
  // `joined` follows, and fetches what there is. Who is signed in is in a room of his own, too, which this page has no use for.
  client.on("missed", (missed) => {
    if (missed.room === ROOM) append(messages, element("li", "Some messages may be missing here.", "note"), SHOWN_MAX);
  });
  room.on("presence", ({ members }) => {
    at("count").textContent = members.length;
    at("members").replaceChildren(...members.map(({ user }) => element("li", user)));
  });
  at("say").addEventListener("submit", (event) => {
    event.preventDefault();
    say(room, at("text").value);
    at("text").value = "";
  });
}

async function say(room, text) {
  at("problem").textContent = "";
  try {
    await room.publish({ text });
  } catch (error) {
    at("problem").textContent = `Not sent: ${text} (${error.message})`;
  }
}

async function showPast(room, me) {
  try {
    for (const message of (await room.history({ limit: PAST })).messages) show(message, me);
  } catch (error) {
    status(`no past: ${error.message}`);
  }
}

/** Ids are `<epoch>-<offset>`: both count up. */
function isBefore(one, other) {
  const [[epoch, offset], [otherEpoch, otherOffset]] = [one, other].map((id) => id.split("-").map(Number));
  return epoch === otherEpoch ? offset < otherOffset : epoch < otherEpoch;
}

/** Shows a message at its place, once: those of the past may come after newer ones. */
function show({ id, event, data, user }, me) {
  const lines = [...messages.children];
  if (id && lines.some((line) => line.dataset.id === id)) return;
  const text = typeof data?.text === "string" ? data.text : JSON.stringify(data);
  // Anybody can name an event so; only the backend's messages have no user.
  const isNotice = event === "notice" && user === undefined;
  const line = element("li", "", isNotice ? "note" : user === me ? "own" : "");
  if (!isNotice) line.append(element("b", user ?? "backend"));
  line.append(text);
  // A plain PUBLISH has no id: it is shown as it comes.
  if (id) line.dataset.id = id;
  const next = id && lines.find((other) => other.dataset.id && isBefore(id, other.dataset.id));
  if (next) next.before(line);
  else append(messages, line, SHOWN_MAX);
}
