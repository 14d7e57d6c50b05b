/** The rooms that the client wants to be in, where it stands in each, and what it is told. */

import type { MissedCause } from "./error.js";
import type { Frame, MessageFrame } from "./frame.js";
import { Roster } from "./roster.js";

/** What the room table knows of a room. */
export interface RoomState {
  readonly name: string;
  /** The last message that was delivered, or where the client began; none where the room keeps no history. */
  id: string | undefined;
  /** What was published since then counts as missed unless it comes: it has been in the room, or has an id of earlier. */
  hasBegun: boolean;
  /** On the present link. */
  isJoined: boolean;
  /** Whether the program asked for it; the personal room of a user comes without asking. */
  readonly isWanted: boolean;
  /** Whether somebody wants to know who is there. */
  watches: boolean;
  readonly roster: Roster;
}

/** How a subscription has begun. */
export interface Begun {
  resumed: boolean;
  /** That something is missing, and why. */
  cause?: MissedCause;
}

/** By name; a pure value. */
export class RoomTable extends Map<string, RoomState> {
  /** Names that go into requests. */
  wanted(): string[] {
    return [...this.values()].filter((room) => room.isWanted).map((room) => room.name);
  }

  /** Where the client stands. */
  ids(): Map<string, string> {
    const ids = new Map<string, string>();
    for (const { name, id } of this.values()) if (id) ids.set(name, id);
    return ids;
  }

  add(name: string, isWanted: boolean, after?: string): RoomState {
    const room = { name, id: after, hasBegun: !!after, isJoined: false, isWanted, watches: false, roster: new Roster() };
    this.set(name, room);
    return room;
  }

  /** The link has ended. */
  leaveAll(): void {
    for (const room of this.values()) room.isJoined = false;
  }

  /** The gateway's word on how a room begins on this link. */
  begin(room: RoomState, { id, resumed, lossy }: Frame & { type: "subscribed" }): Begun {
    const comesBack = room.hasBegun;
    const knowsHistory = room.id ?? id;
    room.isJoined = true;
    room.hasBegun = true;
    if (!comesBack || !resumed) room.id = id ?? undefined;
    if (lossy) return { resumed, cause: "no_history" };
    return comesBack && !resumed ? { resumed, cause: knowsHistory ? "missed" : "no_history" } : { resumed };
  }

  /** Whether a message is to be delivered; from then on the client has it. */
  take({ room: name, id }: MessageFrame): boolean {
    const room = this.get(name);
    if (!room?.isJoined) return false;
    if (id) room.id = id;
    return true;
  }
}
