/** Types: compiled, never run. Where an error is expected and none comes, it does not compile. */

import { connect, MissedError, type Client, type Message, type Room } from "../src/index.js";

interface Order {
  id: number;
  paid: boolean;
}

interface Rooms {
  orders: Order;
  picture: Uint8Array;
  [room: `chat:${string}`]: { text: string };
}

const client = connect<Rooms>("https://rt.example", { token: async () => "…", rooms: ["orders", { room: "chat:1", after: "5-1" }] });

export async function typed(): Promise<void> {
  const orders: Room<Order> = client.room("orders");
  orders.on("message", ({ data, id }) => data.paid && id?.length);
  orders.on("missed", ({ cause, count }) => cause === "dropped" && count?.toFixed());
  for await (const message of client.room("chat:42")) {
    const text: string = message.data.text;
    // @ts-expect-error chats have no number
    message.data.number;
    console.log(text);
  }
  await orders.publish({ id: 7, paid: true }, { event: "paid", key: "order-7", echo: false });
  await client.publish("picture", new Uint8Array([1]));
  const { id } = await client.publish("chat:2", { text: "hi" });
  // @ts-expect-error rooms without history give none
  id.length;
  // @ts-expect-error an order has an id
  await orders.publish({ paid: true });
  // @ts-expect-error chats carry texts
  await client.publish("chat:2", { id: 7, paid: true });
  // @ts-expect-error there is no such room
  client.room("order");
  // @ts-expect-error there is no such event
  client.on("mesage", () => {});
  const page = await orders.history({ limit: 10 });
  const last: Message<Order> | undefined = page.messages.at(-1);
  return void last;
}

// @ts-expect-error there is no such room
connect<Rooms>("https://rt.example", { rooms: ["order"] });
// @ts-expect-error a token is a text
connect("https://rt.example", { token: 5 });
// @ts-expect-error there is no such transport
connect("https://rt.example", { transports: ["pigeon"] });

/** Without types for its rooms every name will do, and data has to be looked at. */
export function untyped(client: Client): void {
  client.room("anything").on("message", ({ data }) => {
    // @ts-expect-error it may be anything
    data.text;
  });
  client.on("closed", (error) => error?.code === "disconnected");
  client.on("status", ({ state, transport }) => `${state} ${transport?.length}`);
  try {
    client.close();
  } catch (error) {
    if (error instanceof MissedError) error.missed.room.length;
  }
}
