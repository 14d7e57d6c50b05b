// Payloads as text to look at, and what is typed as payloads. Nothing here, nor anywhere in the page, makes markup.

const SHOWN_MAX = 16 * 1024;
const BYTES_SHOWN_MAX = 512;

/** A message's payload as text. */
export function show({ data, base64 }) {
  if (base64 !== undefined) return dump(Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0)));
  const text = typeof data === "string" ? data : JSON.stringify(data, null, 2);
  return text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX)}… and ${text.length - SHOWN_MAX} characters more`;
}

/** Which of the three kinds it is. */
export function kind({ data, base64 }) {
  if (base64 !== undefined) return "bytes";
  return typeof data === "string" ? "text" : "JSON";
}

/** Eight bytes a line: where, in hex, as text. */
function dump(bytes) {
  const lines = [`${bytes.length} bytes`];
  for (let at = 0; at < Math.min(bytes.length, BYTES_SHOWN_MAX); at += 8) {
    const row = [...bytes.subarray(at, Math.min(at + 8, BYTES_SHOWN_MAX))];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${hex.padEnd(23)}  ${text}`);
  }
  if (bytes.length > BYTES_SHOWN_MAX) lines.push(`… and ${bytes.length - BYTES_SHOWN_MAX} more`);
  return lines.join("\n");
}

const TYPES = { text: "text/plain; charset=utf-8", json: "application/json", bytes: "application/octet-stream" };

/**
 * What was typed, as it is sent: as a body over HTTP, or in a command of JSON mode. Throws a sentence where it is not what it is said
 * to be.
 */
export function read(type, typed) {
  const contentType = TYPES[type];
  if (type === "json") return { contentType, body: typed, fields: { data: parse(typed) } };
  if (type !== "bytes") return { contentType, body: typed, fields: { data: typed } };
  const digits = typed.replace(/\s+/g, "");
  if (digits.length % 2 || /[^0-9a-f]/i.test(digits)) throw new Error("Bytes are pairs of hexadecimal digits, such as 00 ff 1a.");
  const body = Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  return { contentType, body, fields: { base64: btoa(Array.from(body, (byte) => String.fromCharCode(byte)).join("")) } };
}

function parse(typed) {
  try {
    return JSON.parse(typed);
  } catch (error) {
    throw new Error(`This is not JSON: ${error.message}`);
  }
}
