// What may stand between a browser and a node: a relay of bytes that can be cut, stopped, slowed and pointed elsewhere, and that keeps
// the heads of requests.
import { connect, createServer } from "node:net";

/** A head of HTTP/1.1 at the beginning of what a client sends. */
const HEAD = /^(?:GET|POST|OPTIONS) [^]*?\r\n\r\n/;

export class Relay {
  /** Port of the node that new connections go to. */
  target;
  /** Of each request, as far as it began a packet: its head, and when it came, in milliseconds. */
  requests = [];
  /** When connections were cut last, in milliseconds. */
  cutAt = 0;
  /** What becomes of bytes from the node; gives whether the connection goes on. Pieces are written one by one. */
  bend = (bytes) => [bytes];
  /** Nothing that clients send goes on. */
  isDeaf = false;
  #sockets = new Set();
  #server;

  static async open(target) {
    const relay = new Relay();
    relay.target = target;
    relay.#server = createServer({ noDelay: true }, (client) => relay.#accept(client));
    await new Promise((resolve) => relay.#server.listen(0, "127.0.0.1", resolve));
    return relay;
  }

  get port() {
    return this.#server.address().port;
  }

  get origin() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The requests for this resource. */
  asked(path) {
    return this.requests.filter(({ head }) => head.split(" ")[1].startsWith(path));
  }

  /** Ends all connections without a word. */
  cut() {
    this.cutAt = performance.now();
    for (const socket of this.#sockets) socket.destroy();
  }

  close() {
    this.#server.close();
    this.cut();
  }

  /** No more is read from the node than so many bytes each millisecond, from now on. */
  slow(bytesPerMs) {
    for (const socket of this.#sockets) socket.slow?.(bytesPerMs);
  }

  #accept(client) {
    const node = connect({ port: this.target, host: "127.0.0.1", noDelay: true });
    const both = [client, node];
    for (const socket of both) {
      this.#sockets.add(socket);
      // Whoever ends first ends both.
      socket.on("error", () => {}).on("close", () => {
        this.#sockets.delete(socket);
        both.forEach((other) => other.destroy());
      });
    }
    client.on("data", (bytes) => {
      const head = HEAD.exec(bytes.toString("latin1"))?.[0];
      if (head) this.requests.push({ head, at: performance.now() });
      if (!this.isDeaf) node.write(bytes);
    });
    client.on("end", () => node.end());
    node.on("data", (bytes) => this.#pass(bytes, client));
    node.on("end", () => client.end());
    node.slow = (bytesPerMs) => throttle(node, bytesPerMs);
  }

  #pass(bytes, client) {
    for (const piece of this.bend(bytes)) {
      if (piece === "cut") return this.cut();
      client.write(piece);
    }
  }
}

/** Reads in gulps, with pauses that make up for them. */
function throttle(node, bytesPerMs) {
  node.on("data", (bytes) => {
    node.pause();
    setTimeout(() => node.resume(), bytes.length / bytesPerMs);
  });
}
