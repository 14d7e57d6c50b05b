// The list of messages. Whatever is put in is text.

import { kind, show } from "./content.js";

/** Messages that are kept. */
const KEPT_MAX = 300;

function piece(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

export class Log {
  #list;
  #waiting = [];
  #drawing = false;

  constructor(list) {
    this.#list = list;
  }

  /** A message; gives what marks it as replayed. */
  message(message, shown = show(message)) {
    const entry = document.createElement("article");
    const about = document.createElement("div");
    about.className = "about";
    const { room, event, id, user } = message;
    about.append(piece("b", event), piece("span", room), piece("span", kind(message)));
    if (id) about.append(piece("span", id));
    if (user) about.append(piece("span", `from ${user}`));
    about.append(piece("time", new Date().toLocaleTimeString()));
    entry.append(about, piece("pre", shown));
    this.#add(entry);
    return () => {
      entry.classList.add("replayed");
      about.append(piece("b", "replayed"));
    };
  }

  /** Something that the page says. */
  note(text) {
    const entry = document.createElement("article");
    entry.className = "note";
    entry.append(piece("pre", text));
    this.#add(entry);
  }

  clear() {
    this.#waiting = [];
    this.#list.replaceChildren();
  }

  /** Many at once are drawn once. */
  #add(entry) {
    this.#waiting.push(entry);
    if (this.#waiting.length > KEPT_MAX) this.#waiting.shift();
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      const list = this.#list;
      const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 8;
      list.append(...this.#waiting);
      this.#waiting = [];
      while (list.childElementCount > KEPT_MAX) list.firstElementChild.remove();
      if (atEnd) list.scrollTop = list.scrollHeight;
    });
  }
}
