// One of the two panels: its forms, what it shows, and its link.

import { read, show } from "./content.js";
import { Log } from "./log.js";
import { Resume } from "./resume.js";

/** Members that are listed. */
const MEMBERS_MAX = 200;

function words(text) {
  return [...new Set(text.split(/[\s,]+/).filter(Boolean))];
}

export class Panel {
  isUp = false;
  #part;
  #link;
  #meter;
  #token;
  #log;
  #node = null;
  #resume = null;
  #isCut = false;
  #present = new Map();

  constructor(section, LinkKind, meter, token) {
    section.append(document.getElementById("panel").content.cloneNode(true));
    this.#part = (selector) => section.querySelector(selector);
    this.#link = new LinkKind(this);
    this.#meter = meter;
    this.#token = token;
    this.#log = new Log(this.#part(".log"));
    const on = (selector, event, act) => this.#part(selector).addEventListener(event, act);
    on(".connect", "submit", (event) => (event.preventDefault(), this.#connect()));
    on(".cut", "click", () => this.#cut());
    on(".leave", "click", () => this.#leave());
    on(".publish", "submit", (event) => (event.preventDefault(), this.#publish()));
    on(".ask", "click", () => this.#ask());
    on(".clear", "click", () => this.#log.clear());
  }

  // What is pressed.

  #connect() {
    const { rooms, events } = this.#part(".connect").elements;
    const wished = words(rooms.value);
    const { room } = this.#part(".publish").elements;
    if (wished.length && !wished.includes(room.value)) room.value = wished[0];
    const names = new Set([...words(events?.value ?? ""), "message"]);
    this.#node = null;
    this.#present.clear();
    this.#drawMembers("not asked");
    this.#part(".resume").textContent = "";
    this.#buttons(true, false);
    this.#state("connecting");
    this.#link.open({ rooms: wished, names, token: this.#token() });
  }

  #cut() {
    if (this.#isCut) {
      this.#buttons(true, false);
      this.#state("connecting");
      return this.#link.connect();
    }
    this.#meter.forget();
    this.#link.cut();
    this.#buttons(true, true);
    this.down("cut");
  }

  #leave() {
    this.#link.close();
    this.#buttons(false, false);
    this.down("not connected");
  }

  async #publish() {
    const { room, event, type, data } = this.#part(".publish").elements;
    const answer = this.#part(".answer");
    // The answer of the one before is not this one's.
    answer.textContent = "";
    let takeBack = () => {};
    try {
      const content = read(type.value, data.value);
      takeBack = this.#meter.published(room.value, event.value || "message", show(content.fields));
      const id = await this.#link.publish(room.value, event.value, content);
      answer.textContent = id ? `Published as ${id}.` : "Published; the room keeps no history, so it has no id.";
      answer.classList.remove("bad");
    } catch (error) {
      takeBack();
      answer.textContent = error.message;
      answer.classList.add("bad");
    }
  }

  async #ask() {
    this.#present.clear();
    for (const room of words(this.#part(".connect").elements.rooms.value)) {
      try {
        await this.#link.watch(room);
      } catch (error) {
        this.#drawMembers(`${room}: ${error.message}`);
      }
    }
  }

  // What the link tells.

  up({ node, connection, user }) {
    this.isUp = true;
    this.#state("connected");
    this.#resume = new Resume(node, this.#node ?? node, (resume) => (this.#part(".resume").textContent = String(resume)));
    this.#node = node;
    for (const [name, value] of Object.entries({ node, connection, user: user ?? "nobody" })) {
      this.#part(`.${name}`).textContent = value;
    }
  }

  joined(room, verdict) {
    const head = this.fetch(`/rooms/${encodeURIComponent(room)}/history?limit=1`).then(
      ({ id }) => id ?? "",
      (error) => (this.noted(`${room}: which messages are replayed cannot be told: ${error.message}`), ""),
    );
    this.#resume.joined(room, verdict, head);
  }

  heard(message) {
    const shown = show(message);
    this.#meter.arrived(message.room, message.event, shown);
    const mark = this.#log.message(message, shown);
    if (!message.id) return;
    this.#part(".last").textContent = message.id;
    this.#resume?.heard(message.room, message.id, mark);
  }

  noted(text) {
    this.#log.note(text);
  }

  down(text) {
    this.isUp = false;
    this.#state(text);
  }

  members(room, { members, total }) {
    this.#present.set(room, { total, names: new Map(members.map((member) => [member.user ?? member.connection, member])) });
    this.#drawMembers();
  }

  changed({ room, joined, left }) {
    const present = this.#present.get(room);
    if (!present) return;
    for (const member of left) if (present.names.delete(member.user ?? member.connection)) present.total -= 1;
    for (const member of joined) {
      const name = member.user ?? member.connection;
      if (!present.names.has(name)) present.total += 1;
      present.names.set(name, member);
    }
    this.#drawMembers();
  }

  /** An answer over HTTP; throws what is wrong with it, in the server's words. */
  async fetch(path, { headers, ...request } = {}) {
    const token = this.#token();
    const response = await fetch(path, { ...request, headers: { ...headers, ...(token && { Authorization: `Bearer ${token}` }) } });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.detail);
    return answer;
  }

  // What is shown.

  #state(text) {
    this.#part(".state").textContent = text;
  }

  #buttons(isOpen, isCut) {
    this.#isCut = isCut;
    this.#part(".cut").disabled = !isOpen;
    this.#part(".leave").disabled = !isOpen;
    this.#part(".cut").textContent = isCut ? "Resume" : "Cut";
  }

  #drawMembers(instead) {
    const rooms = [...this.#present].map(([room, { total }]) => `${room}: ${total}`);
    this.#part(".present").textContent = instead ?? rooms.join(", ");
    const lines = [];
    for (const [room, { names }] of this.#present) {
      for (const [name, { user, connections }] of names) {
        if (lines.length < MEMBERS_MAX) lines.push(`${room}: ${user ? name : `connection ${name}`}${connections > 1 ? `, ${connections} connections` : ""}`);
      }
    }
    this.#part(".members").replaceChildren(
      ...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })),
    );
  }
}
