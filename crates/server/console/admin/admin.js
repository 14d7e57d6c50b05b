// The operators' page: what this node says of itself, and what operators do to it. Nothing of it is kept when the page is closed, the
// key least of all.

import { Chart } from "../charts.js";
import { Api } from "./api.js";
import { agreed } from "./question.js";
import { list, say, table } from "./table.js";

/** Between two looks at this node, and at the cluster, in milliseconds. */
const STATUS_EVERY_MS = 1000;
const NODES_EVERY_MS = 5000;
/** Rows that are asked for. */
const ROWS_MAX = 100;
/** Rooms of one connection that are listed. */
const ROOMS_LISTED_MAX = 8;

const find = (id) => document.getElementById(id);
const api = new Api(() => find("key").value.trim());
const [connected, received, delivered, roundTrip] = ["connected", "received", "delivered", "round-trip"].map((id) => new Chart(find(id)));
const [node, broker, nodes, rooms, connections] = ["node", "broker", "nodes", "rooms", "connections"].map((id) => {
  const part = find(id);
  return (selector) => part.querySelector(selector);
});
const question = find("question");

/** Does it again and again, each time after the time before is done, while somebody looks. */
async function repeat(pause, act) {
  for (;;) {
    if (!document.hidden) await act();
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Shows what came of something that was asked for, or what is wrong. */
async function answer(part, act) {
  const place = part(".answer");
  try {
    say(place, (await act()) ?? "");
    place.classList.remove("bad");
  } catch (error) {
    say(place, error.message);
    place.classList.add("bad");
  }
}

function state(part, isGood, text) {
  const place = part(".state");
  say(place, text);
  place.classList.toggle("good", isGood);
  place.classList.toggle("bad", !isGood);
}

const seconds = (value) => (value === null ? "never" : `${value.toFixed(1)} s ago`);
const count = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;
const milliseconds = (value) => (value === null ? null : Number((value * 1000).toFixed(2)));

function duration(value) {
  const [days, hours, minutes] = [value / 86400, (value / 3600) % 24, (value / 60) % 60].map(Math.floor);
  if (days) return `${days} d ${hours} h`;
  return hours ? `${hours} h ${minutes} min` : `${minutes} min ${Math.floor(value % 60)} s`;
}

// What the node says of itself.

let last = null;

async function look() {
  try {
    const now = await api.get("/api/status");
    // Another process has other counters.
    const before = last?.id === now.id ? last : null;
    last = { ...now, at: performance.now() };
    say(find("problem"), "");
    charts(before, last);
    thisNode(now);
    link(now.broker);
  } catch ({ message }) {
    say(find("problem"), last?.draining ? `${message} It was draining: by now it may have ended.` : message);
    state(node, false, "not known");
    state(broker, false, "not known");
    node(".drain").disabled = true;
  }
}

function charts(before, now) {
  const rate = (name) => before && Math.round((now[name] - before[name]) / ((now.at - before.at) / 1000));
  connected.add(now.connections);
  received.add(rate("messages_received"));
  delivered.add(rate("messages_delivered"));
  roundTrip.add(now.broker.healthy ? milliseconds(now.broker.probe_round_trip_s) : null);
}

function thisNode(now) {
  say(find("name"), now.name);
  state(node, now.ready, now.ready ? "ready" : `not ready: ${now.reason}`);
  const ends = now.draining && { "Clients are cut": new Date(now.drain_deadline_s * 1000).toLocaleTimeString() };
  list(node("dl"), {
    Id: now.id,
    Version: now.version,
    "Up for": duration(now.uptime_s),
    Connections: `${now.connections} of ${now.connections_limit} at most`,
    Users: now.users,
    Memberships: `${now.room_members} in rooms`,
    "Waits for clients": count(now.outbox_bytes, "byte"),
    "Too slow": `${count(now.slow_consumers, "connection")} ended`,
    ...ends,
  });
  node(".drain").disabled = now.draining;
}

function link(its) {
  state(broker, its.healthy, its.healthy ? "healthy" : `unhealthy: ${its.reason}`);
  list(broker("dl"), {
    Broker: its.redis ? `Redis at ${its.redis}` : "embedded, this node only",
    Connection: its.up ? "up" : "down",
    "Last probe": `sent ${seconds(its.probe_age_s)}`,
    "Its way": its.probe_round_trip_s === null ? "–" : `${milliseconds(its.probe_round_trip_s)} ms`,
    "Lost so far": count(its.reconnects, "time"),
    Commands: its.commands_max ? `${its.commands} of ${its.commands_max} wait` : "none to wait for",
    Refused: count(its.refusals, "command"),
    Subscriptions: count(its.subscriptions, "room"),
  });
}

node(".drain").addEventListener("click", async () => {
  const text = "Its clients are asked to leave, evenly over drain.window, and then the process ends. This cannot be taken back.";
  if (!(await agreed(question, `Drain ${last.name}?`, text, "Drain it"))) return;
  await answer(node, async () => (await api.post("/drain", {}), "Draining: clients are asked to leave."));
  await look();
});

// The cluster.

const NODE_COLUMNS = [
  { head: "Node", kind: "text", text: ({ name, self }) => (self ? `${name} (this one)` : name) },
  { head: "State", kind: "text", text: ({ draining }) => ({ true: "draining", false: "serving" })[draining] ?? "not told" },
  { head: "Connections", kind: "number", text: ({ connections }) => connections ?? "not told" },
  { head: "Share", kind: "number", text: ({ share }) => (share === null ? "–" : `${(share * 100).toFixed(1)} %`) },
  { head: "Version", kind: "text", text: ({ version }) => version ?? "not told" },
  { head: "Id", kind: "id", text: ({ id }) => id },
];

const cluster = () =>
  answer(nodes, async () => {
    const { nodes: known, connections: total } = await api.get("/api/nodes");
    known.sort((a, b) => (a.name < b.name ? -1 : 1));
    table(nodes("table"), NODE_COLUMNS, known);
    return `${count(known.length, "node")}, ${count(total, "connection")}`;
  });

// Rooms.

const ROOM_COLUMNS = [
  { head: "Room", kind: "code", text: ({ room }) => room },
  { head: "Members", kind: "number", text: ({ members }) => members },
  { head: "", kind: "text", button: ({ room }) => ({ label: "Connections", about: `in ${room}`, act: () => showConnections("", room) }) },
];

const showRooms = () =>
  answer(rooms, async () => {
    const { rooms: found, total } = await api.get("/api/rooms", { prefix: rooms("form").elements.prefix.value, limit: ROWS_MAX });
    table(rooms("table"), ROOM_COLUMNS, found);
    return total > found.length ? `${found.length} of ${count(total, "room")}` : count(total, "room");
  });

rooms("form").addEventListener("submit", (event) => (event.preventDefault(), showRooms()));

// Connections.

function named(all) {
  const more = all.length - ROOMS_LISTED_MAX;
  return all.slice(0, ROOMS_LISTED_MAX).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

const CONNECTION_COLUMNS = [
  { head: "Connection", kind: "id", text: ({ id }) => id },
  { head: "Transport", kind: "text", text: ({ transport }) => transport },
  { head: "User", kind: "text", text: ({ user }) => user ?? "–" },
  { head: "Rooms", kind: "code", text: ({ rooms }) => named(rooms) },
  { head: "Waiting", kind: "number", text: ({ queued_bytes }) => `${queued_bytes} B` },
  { head: "", kind: "text", button: ({ id }) => ({ label: "Disconnect", about: id, act: () => disconnect(id) }) },
];

async function readConnections() {
  const { user, room } = connections("form").elements;
  const { connections: found } = await api.get("/api/connections", { user: user.value, room: room.value, limit: ROWS_MAX });
  table(connections("table"), CONNECTION_COLUMNS, found);
  return found.length < ROWS_MAX ? count(found.length, "connection") : `the first ${count(found.length, "connection")}`;
}

function showConnections(user, room) {
  Object.assign(connections("form").elements.user, { value: user });
  Object.assign(connections("form").elements.room, { value: room });
  return answer(connections, readConnections);
}

const disconnect = (id) =>
  answer(connections, async () => {
    await api.post("/api/disconnect", { connection: id });
    return `Disconnected ${id}; ${await readConnections()} left.`;
  });

connections("form").addEventListener("submit", (event) => (event.preventDefault(), answer(connections, readConnections)));
connections(".everywhere").addEventListener("click", async () => {
  const user = connections("form").elements.user.value;
  if (!user) return answer(connections, () => Promise.reject(new Error("Type the user's name first.")));
  const text = "All connections of this user on all nodes are closed with 4410, after which clients do not come back by themselves.";
  if (!(await agreed(question, `Disconnect ${user}?`, text, "Disconnect"))) return;
  await answer(connections, async () => {
    await api.post("/api/disconnect", { user });
    return `All nodes were told to disconnect ${user}.`;
  });
});

repeat(STATUS_EVERY_MS, look);
repeat(NODES_EVERY_MS, cluster);
showRooms();
find("key").addEventListener("change", () => (look(), cluster(), showRooms()));
