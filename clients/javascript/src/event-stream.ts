/** Reads an event stream (HTML standard, section 9.2.6), as far as a gateway writes it. */

/** One event. */
export interface StreamEvent {
  event: string;
  data: string;
  /** The last id that the stream has named. */
  id: string | undefined;
}

/** The longest unfinished event, in characters: many times the largest message that a gateway takes by default. */
const EVENT_CHARS_MAX = 1 << 24;

/** Gives a function that takes text as it comes, and tells whole events. */
export function eventStreamReader(tell: (event: StreamEvent) => void): (text: string) => void {
  let rest = "";
  let event = "message";
  let data: string[] = [];
  let id: string | undefined;
  return (text) => {
    const lines = (rest + text).split(/\r?\n/);
    rest = lines.pop()!;
    if (rest.length > EVENT_CHARS_MAX) throw "too long";
    for (const line of lines) {
      const [, name, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line)!;
      if (name === "data") data.push(value);
      if (name === "event") event = value;
      if (name === "id") id = value;
      if (line) continue;
      if (data.length) tell({ event, data: data.join("\n"), id });
      event = "message";
      data = [];
    }
  };
}
