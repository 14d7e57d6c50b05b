// What came back: which of a room's messages are older than the connection that brought them.

/** Messages that wait for the answer where a room stood. */
const WAITING_MAX = 1000;
/** Ids that are listed. */
const LISTED_MAX = 50;

/** Whether the message `id` is `head` or came before it. */
function isUpTo(id, head) {
  const [epoch, offset] = id.split("-");
  const [headEpoch, headOffset] = head.split("-");
  return epoch === headEpoch && Number(offset) <= Number(headOffset);
}

/** One return to rooms. */
export class Resume {
  #heads = new Map();
  #waiting = [];
  #ids = [];
  #count = 0;
  #missed = [];

  constructor(node, before, changed) {
    this.node = node;
    this.before = before;
    this.changed = changed;
  }

  /** A room that was joined again. `head` promises where it stood then. */
  joined(room, { resumed, missed }, head) {
    if (missed) this.#missed.push(room);
    if (resumed) {
      this.#heads.set(room, null);
      head.then((id) => this.#stood(room, id));
    }
    if (resumed || missed) this.changed(this);
  }

  /** A message; `mark` is called, now or later, if it is one of those that had been missed. */
  heard(room, id, mark) {
    if (!id || !this.#heads.has(room)) return;
    const head = this.#heads.get(room);
    if (head === null) {
      if (this.#waiting.length < WAITING_MAX) this.#waiting.push({ room, id, mark });
    } else if (isUpTo(id, head)) this.#replayed(id, mark);
  }

  #stood(room, head) {
    this.#heads.set(room, head);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { room, id, mark } of waiting) this.heard(room, id, mark);
    this.changed(this);
  }

  #replayed(id, mark) {
    this.#count += 1;
    if (this.#ids.length < LISTED_MAX) this.#ids.push(id);
    mark();
    this.changed(this);
  }

  /** A sentence. */
  toString() {
    const where = this.node === this.before ? `on the same node, ${this.node}` : `on ${this.node}, before that on ${this.before}`;
    const missed = this.#missed.length ? ` History does not reach back far enough in ${this.#missed.join(", ")}: what was missed there is lost.` : "";
    if (!this.#heads.size) return `Came back ${where}.${missed}`;
    const more = this.#count > this.#ids.length ? ` and ${this.#count - this.#ids.length} more` : "";
    return `Resumed ${where}. Replayed: ${this.#count}${this.#count ? ` (${this.#ids.join(", ")}${more})` : ""}.${missed}`;
  }
}
