// Cursors of others, by a plain WebSocket: what this page sends goes to the others as it is, eight bytes a position. Nothing is
// asked for again after a break, so the only thing that the client package would spare us is connecting again.
import { at, element, status } from "/shared/page.js";

const ROOM = "cursors:board";
/** Cursors that are shown: whoever may publish can make up as many as he likes. */
const CURSORS_MAX = 100;
/** A cursor that says nothing for so long is gone. A page says where its own is twice as often. */
const GONE_MS = 6000;
/** Between two positions of this page: less than the `rate` of the namespace. */
const PACE_MS = 40;
/** The longest wait before connecting again; chance spreads pages that were cut off together. */
const RETRY_MS = 2000;
const FULL = 0xffff;

const me = crypto.getRandomValues(new Uint32Array(1))[0];
const cursors = new Map();
const own = { x: undefined, y: undefined, dot: undefined };
let socket;
let lastSentMs = 0;

function connect() {
  socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/ws?room=${ROOM}`);
  socket.binaryType = "arraybuffer";
  socket.addEventListener("open", () => (status("connected", true), send()));
  socket.addEventListener("message", ({ data }) => hear(data));
  socket.addEventListener("close", () => {
    status("connecting again …");
    setTimeout(connect, Math.random() * RETRY_MS);
  });
}

function hear(data) {
  // Anybody may have sent anything.
  if (!(data instanceof ArrayBuffer) || data.byteLength !== 8) return;
  const view = new DataView(data);
  const who = view.getUint32(0);
  if (!cursors.has(who) && cursors.size >= CURSORS_MAX) return;
  const dot = cursors.get(who)?.dot ?? makeDot(who);
  cursors.set(who, { dot, heardMs: performance.now() });
  place(dot, view.getUint16(4), view.getUint16(6));
  count();
}

function makeDot(who) {
  const dot = element("span", "", "cursor");
  dot.dataset.who = who;
  dot.style.backgroundColor = `hsl(${who % 360} 70% 50%)`;
  at("area").append(dot);
  return dot;
}

function place(dot, x, y) {
  dot.style.left = `${(100 * x) / FULL}%`;
  dot.style.top = `${(100 * y) / FULL}%`;
}

function count() {
  at("others").textContent = cursors.size;
}

/** Moves the own cursor; what is sent is where it is when the time has come. */
function move(x, y) {
  own.x = Math.round(Math.min(Math.max(x, 0), FULL));
  own.y = Math.round(Math.min(Math.max(y, 0), FULL));
  own.dot ??= makeDot(me);
  place(own.dot, own.x, own.y);
  at("mine").textContent = `Your cursor is at ${Math.round((100 * own.x) / FULL)} %, ${Math.round((100 * own.y) / FULL)} %.`;
}

function send() {
  if (own.x === undefined || socket.readyState !== WebSocket.OPEN) return;
  const view = new DataView(new ArrayBuffer(8));
  view.setUint32(0, me);
  view.setUint16(4, own.x);
  view.setUint16(6, own.y);
  socket.send(view);
  lastSentMs = performance.now();
}

let isMoved = false;
setInterval(() => {
  const now = performance.now();
  if (isMoved || now - lastSentMs > GONE_MS / 2) send();
  isMoved = false;
  for (const [who, { dot, heardMs }] of cursors) {
    if (now - heardMs < GONE_MS) continue;
    dot.remove();
    cursors.delete(who);
    count();
  }
}, PACE_MS);

at("area").addEventListener("pointermove", ({ clientX, clientY }) => {
  const box = at("area").getBoundingClientRect();
  move((FULL * (clientX - box.left)) / box.width, (FULL * (clientY - box.top)) / box.height);
  isMoved = true;
});

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
at("area").addEventListener("keydown", (event) => {
  const step = STEPS[event.key];
  if (!step) return;
  event.preventDefault();
  move((own.x ?? FULL / 2) + (step[0] * FULL) / 50, (own.y ?? FULL / 2) + (step[1] * FULL) / 50);
  isMoved = true;
});

connect();
