/** What a program has in its hands: a client, and a handle for each room. */

import { MissedError, RoomcastError, type Missed } from "./error.js";
import { toMessage, type Member, type MessageFrame } from "./frame.js";
import { Inbox } from "./inbox.js";
import { Listeners, report } from "./listeners.js";
import type { Failure, Notices, Port, Ref, RoomNotices } from "./port.js";
import type { ClientEvents, HistoryPage, Left, Message, Published, PublishOptions, RoomEvents, RoomTypes, Status } from "./types.js";

/** Names of the rooms of a client whose messages have types. */
export type RoomName<M> = Extract<keyof M, string>;

/** A room, as the program sees it. Asking for it joins it. */
export class Room<T = unknown> extends Listeners<RoomEvents<T>> {
  readonly name: string;
  readonly #client: Client<any>;
  readonly #inboxes = new Set<Inbox<T>>();
  #id: string | undefined;

  /** @internal */
  constructor(client: Client<any>, name: string) {
    super();
    this.#client = client;
    this.name = name;
  }

  /** The id of the last message: what `after` takes, for instance when the page is loaded again. */
  get id(): string | undefined {
    return this.#id;
  }

  /** Adds a listener; gives what removes it. Listening to `presence` asks the gateway who is there. */
  override on<Name extends keyof RoomEvents<T>>(name: Name, listener: (value: RoomEvents<T>[Name]) => void): () => void {
    if (name === "presence") this.#client.port.join(this.name, undefined, true);
    return super.on(name, listener);
  }

  /** Messages from now on. Where messages are missing and nobody listens to `missed`, it throws a `MissedError`. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Message<T>, void, void> {
    const inbox = new Inbox<T>();
    this.#inboxes.add(inbox);
    try {
      yield* inbox.read();
    } finally {
      this.#inboxes.delete(inbox);
    }
  }

  /** Sends a message: JSON, or bytes. Resolves when the gateway has it; until then it is kept, and sent again where that is needed. */
  publish(data: T, options?: PublishOptions): Promise<Published> {
    return this.#client.publish(this.name, data, options);
  }

  /** Who is in the room now. */
  async members(): Promise<Member[]> {
    return (await this.#get<{ members: Member[] }>("presence")).members;
  }

  /** The newest messages, or the oldest behind `after`. */
  async history(options: { after?: string; limit?: number } = {}): Promise<HistoryPage<T>> {
    const query = new URLSearchParams(options as Record<string, string>);
    const { id, messages } = await this.#get<{ id: string; messages: MessageFrame[] }>(`history?${query}`);
    return { id, messages: messages.map(toMessage) as Message<T>[] };
  }

  /** Leaves the room. The handle is of no more use. */
  leave(): void {
    this.#client.port.leave(this.name);
  }

  #get<A>(resource: string): Promise<A> {
    return this.#client.ask<A>((ref) => this.#client.port.get(ref, `/rooms/${encodeURIComponent(this.name)}/${resource}`));
  }

  /** @internal Whether somebody is told that messages are missing: a listener, or else an iterator. */
  hears(missed: Missed, isHandled: boolean): boolean {
    if (isHandled || this.has("missed")) return true;
    const onlyIterators = this.#inboxes.size > 0 && !this.has("message");
    this.#end(new MissedError(missed));
    return onlyIterators;
  }

  /** @internal */
  override tell<Name extends keyof RoomEvents<T>>(name: Name, value: RoomEvents<T>[Name]): void {
    const { id, error } = value as Partial<Message & Left>;
    if (id) this.#id = id;
    super.tell(name, value);
    if (name === "left") this.#end(error);
    if (name !== "message") return;
    for (const inbox of this.#inboxes) {
      if (inbox.push(value as Message<T>)) continue;
      this.#inboxes.delete(inbox);
      inbox.end(new MissedError({ room: this.name, cause: "unread" }));
    }
  }

  #end(error: RoomcastError | undefined): void {
    for (const inbox of this.#inboxes) inbox.end(error);
    this.#inboxes.clear();
  }
}

/** A connection to the gateway, whatever carries it. */
export class Client<M = RoomTypes> extends Listeners<ClientEvents> {
  /** @internal */
  readonly port: Port;
  readonly #rooms = new Map<string, Room<any>>();
  readonly #waiting = new Map<Ref, [resolve: (value: any) => void, reject: (error: RoomcastError) => void]>();
  #status: Status = { state: "connecting" };
  #lastRef = 0;

  /** @internal */
  constructor(port: Port) {
    super();
    this.port = port;
  }

  /** Whether the client is connected, and how. */
  get status(): Status {
    return this.#status;
  }

  /** The handle of a room, which is joined unless the client is in it already. */
  room<R extends RoomName<M>>(name: R, { after }: { after?: string | undefined } = {}): Room<M[R]> {
    const known = this.#rooms.get(name);
    if (known) return known;
    const room = new Room<M[R]>(this, name);
    this.#rooms.set(name, room);
    this.port.join(name, after);
    return room;
  }

  /** Sends a message to a room that the client need not be in. See `Room.publish`. */
  async publish<R extends RoomName<M>>(room: R, data: M[R], { event, key = newKey(), echo }: PublishOptions = {}): Promise<Published> {
    // A program that changes its value later must not change what is sent.
    const bytes = data instanceof Uint8Array ? data.slice() : undefined;
    const json = bytes ? undefined : JSON.stringify(data);
    if (!bytes && !json) throw new TypeError("publish JSON or a Uint8Array");
    return this.ask((ref) => this.port.publish({ ref, room, event, json, bytes, key, echo }));
  }

  /** Ends the connection. What was not sent is given up: its promises are rejected with `closed`. */
  close(): void {
    this.port.close();
  }

  /** @internal */
  ask<T>(post: (ref: Ref) => void): Promise<T> {
    return new Promise((...waiting) => {
      this.#waiting.set(++this.#lastRef, waiting);
      post(this.#lastRef);
    });
  }

  /** @internal What the core tells. */
  notice<Name extends keyof Notices>(name: Name, value: Notices[Name]): void {
    const own: { [Other in keyof Notices]?: (value: Notices[Other]) => void } = {
      status: (status) => this.tell("status", (this.#status = status)),
      refused: (failure) => report(toError(failure)),
      answer: (answer) => this.#answer(answer),
      closed: (failure) => this.#closed(failure),
    };
    if (own[name]) own[name](value);
    else this.#ofRoom(name as keyof RoomNotices, value as { room: string; failure?: Failure });
  }

  #answer({ ref, result, failure }: Notices["answer"]): void {
    const [resolve, reject] = this.#waiting.get(ref) ?? [];
    this.#waiting.delete(ref);
    if (failure) reject?.(toError(failure));
    else resolve?.(result);
  }

  #ofRoom(name: keyof RoomNotices, { failure, ...rest }: { room: string; failure?: Failure }): void {
    const value: any = failure ? { ...rest, error: toError(failure) } : rest;
    const room = this.#rooms.get(rest.room);
    if (name === "left") this.#rooms.delete(rest.room);
    if (name === "missed") {
      const isHandled = this.has(name);
      // Of a room that nobody has joined here, such as the user's own, only listeners to all rooms hear anything.
      if (!(room?.hears(value, isHandled) ?? (isHandled || !this.has("message")))) report(new MissedError(value));
    }
    room?.tell(name, value);
    this.tell(name, value);
  }

  #closed(failure: Failure | undefined): void {
    for (const room of this.#rooms.keys()) this.#ofRoom("left", { room, ...(failure && { failure }) });
    for (const ref of this.#waiting.keys()) this.#answer({ ref, failure: failure ?? { code: "closed", message: "closed" } });
    const error = failure && toError(failure);
    if (error && !this.has("closed")) report(error);
    this.tell("closed", error);
  }
}

function toError({ code, message }: Failure): RoomcastError {
  return new RoomcastError(code, message);
}

/** 128 bits of chance. `crypto.randomUUID` is not there on pages without TLS. */
function newKey(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}
