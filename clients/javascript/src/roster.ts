/** Who is in a room, from lists and from what has changed since. */

import type { Member } from "./frame.js";

/** What has changed. */
export interface Change {
  joined: Member[];
  left: Member[];
}

/** A pure value. */
export class Roster extends Map<string, Member> {
  /** Everybody who is there; gives what that changes. */
  replace(members: readonly Member[]): Change {
    const there = new Set(members.map(nameOf));
    const left = [...this.values()].filter((member) => !there.has(nameOf(member)));
    return this.change(members, left);
  }

  /** Who has come and who has gone; gives those of whom it was not known. */
  change(joined: readonly Member[], left: readonly Member[]): Change {
    const gone = left.filter((member) => this.delete(nameOf(member)));
    const come = joined.filter((member) => !this.has(nameOf(member)));
    for (const member of joined) this.set(nameOf(member), member);
    return { joined: come, left: gone };
  }
}

function nameOf({ user, connection }: Member): string {
  return `${user} ${connection}`;
}
