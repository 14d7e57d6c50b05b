/** Where a client stands in its rooms, as one text: what `after=` in the URL of a stream or poll takes (docs/protocol.md, "Coming back"). */

const MASK_64 = (1n << 64n) - 1n;
const MASK_48 = (1n << 48n) - 1n;

/** 48 bits of FNV-1a over the name, in hexadecimal: how a cursor over several rooms tells them apart. */
export function roomKey(room: string): string {
  let hash = 0xcbf29ce484222325n;
  // Names of rooms are ASCII.
  for (const character of room) {
    hash = ((hash ^ BigInt(character.charCodeAt(0))) * 0x100000001b3n) & MASK_64;
  }
  return ((hash ^ (hash >> 48n)) & MASK_48).toString(16).padStart(12, "0");
}

/** One cursor of the ids that a client has of its rooms; none where it has none. */
export function composeCursor(ids: Iterable<readonly [room: string, id: string]>): string | undefined {
  return Array.from(ids, ([room, id]) => `${roomKey(room)}.${id}`).join("_") || undefined;
}

/** The id that a cursor has of a room. A plain id counts for whichever room it is given for. */
export function idInCursor(cursor: string | null | undefined, room: string): string | undefined {
  if (!cursor?.includes(".")) return cursor || undefined;
  const key = `${roomKey(room)}.`;
  return cursor.split("_").find((entry) => entry.startsWith(key))?.slice(key.length);
}
