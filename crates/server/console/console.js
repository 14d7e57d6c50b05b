// The console: two panels, and charts of what they see. Nothing of it is kept when the page is closed, the token least of all.

import { Chart, Meter } from "./charts.js";
import { SseLink, WsLink } from "./links.js";
import { Panel } from "./panel.js";

const find = (id) => document.getElementById(id);
const meter = new Meter();
const token = () => find("token").value.trim();
const panels = [new Panel(find("sse"), SseLink, meter, token), new Panel(find("ws"), WsLink, meter, token)];
// A WebSocket hears every event, whatever its name.
find("ws").querySelector(".events").remove();

const [rate, latency, connections] = ["rate", "latency", "connections"].map((id) => new Chart(find(id)));
setInterval(() => {
  const { count, delay } = meter.take();
  rate.add(count);
  latency.add(delay);
  connections.add(panels.filter(({ isUp }) => isUp).length);
}, 1000);
