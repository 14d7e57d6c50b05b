// A device, and commands to it, by the client package: a command waits until the gateway has it, through lost connections too, and is
// not sent twice. The device answers in its own room, by the command's id.
import { connect } from "/sdk/index.js";
import { append, at, element, watchClient } from "/shared/page.js";

/** Commands that are shown. */
const SHOWN_MAX = 50;
/** Answers that came before the gateway's own. */
const EARLY_MAX = 100;

const client = connect("/");
watchClient(client);
const pump = client.room("telemetry:pump");
const sent = new Map();
const early = new Map();
let lastNumber;
let missing = 0;

pump.on("missed", () => (at("report").textContent = "some are missing"));
pump.on("message", ({ event, data }) => {
  if (event === "report") show(data);
  if (event === "answer") answered(data);
});

function show({ number, speed, temperature }) {
  // A pump that was switched on again counts from 0.
  if (lastNumber !== undefined && number > lastNumber) missing += number - lastNumber - 1;
  lastNumber = number;
  at("speed").textContent = speed;
  at("temperature").textContent = temperature;
  at("report").textContent = `number ${number}, missing ${missing}`;
}

async function command(speed) {
  const line = element("li", `Speed ${speed}: `);
  const state = element("output", "on its way");
  line.append(state);
  append(at("commands"), line, SHOWN_MAX);
  try {
    const { id } = await client.publish("commands:pump", { speed }, { event: "set" });
    state.textContent = early.get(id) ?? "the pump has not answered yet";
    if (!early.delete(id)) sent.set(id, state);
  } catch (error) {
    state.textContent = `not sent: ${error.message}`;
  }
}

/** Answers of commands that this page has sent; other pages hear theirs. */
function answered({ command, text }) {
  const state = sent.get(command);
  sent.delete(command);
  if (state) state.textContent = text;
  else early.set(command, text);
  if (early.size > EARLY_MAX) early.delete(early.keys().next().value);
}

at("command").addEventListener("submit", (event) => {
  event.preventDefault();
  command(at("wanted").valueAsNumber);
});
at("stop").addEventListener("click", () => command(0));
