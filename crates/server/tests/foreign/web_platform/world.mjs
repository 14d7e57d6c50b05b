// Where an item of the list runs: nodes, pages of several origins, relays, and a word with the test that owns the nodes.
import { once } from "node:events";
import { createServer } from "node:http";
import { launch } from "../browser-launch.mjs";
import { say } from "../lines.mjs";
import { equip, runInWorker, serveEvaluations } from "./page.mjs";
import { Relay } from "./relay.mjs";

/** The longest time that one item may take, in milliseconds. Only bounds a failure. */
const ITEM_MS_MAX = 180_000;

/** Pages that are not a node's: some words, redirects, statuses, and a worker's script. */
function pages({ url }, response) {
  const { pathname, searchParams } = new URL(url, "http://page");
  const allow = { "Access-Control-Allow-Origin": "*" };
  const script = `(${equip})();(${serveEvaluations})();`;
  if (pathname === "/redirect") response.writeHead(Number(searchParams.get("status")), { ...allow, Location: searchParams.get("to") }).end();
  else if (pathname === "/status") response.writeHead(Number(searchParams.get("status")), allow).end();
  else if (pathname === "/worker.js") response.writeHead(200, { "Content-Type": "text/javascript" }).end(script);
  else response.writeHead(200, { "Content-Type": "text/html" }).end("<!doctype html><title>a page</title>");
}

/** What all items share. */
export class World {
  static async open({ nodes, pages: port }, input) {
    const world = new World();
    world.nodes = nodes;
    world.listed = `http://127.0.0.1:${port}`;
    // The same server by a name that no node lists.
    world.foreign = `http://localhost:${port}`;
    world.server = createServer(pages).listen(port, "127.0.0.1");
    await once(world.server, "listening");
    world.browser = await launch();
    world.input = input;
    world.questions = Promise.resolve();
    return world;
  }

  /** Runs an item, in a place of its own; gives what was wrong. */
  async run(check, number) {
    const place = new Place(this, `item:${number}`);
    let timer;
    const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error("it takes minutes")), ITEM_MS_MAX)));
    try {
      await Promise.race([check(place), late]);
      return undefined;
    } catch (error) {
      return error.stack;
    } finally {
      clearTimeout(timer);
      await place.close();
    }
  }

  /** Has the test do something to a node, one thing after the other. */
  ask(what, node) {
    this.questions = this.questions.then(() => {
      say({ [what]: node });
      return once(this.input, "line");
    });
    return this.questions;
  }

  async close() {
    await this.browser.close();
    this.server.close();
  }
}

/** What one item uses, and leaves behind nothing of. */
class Place {
  #closers = [];

  constructor(world, room) {
    Object.assign(this, { world, room, listed: world.listed, foreign: world.foreign });
  }

  /** The origin of a node. */
  origin(node) {
    return `http://127.0.0.1:${this.world.nodes[node].port}`;
  }

  /** A page that loads nothing more; of the node `one` unless an origin is given. */
  async page(origin = this.origin("one")) {
    const context = await this.world.browser.newContext();
    this.#closers.push(() => context.close());
    await context.addInitScript(equip);
    const page = await context.newPage();
    await page.goto(`${origin}/no-page`);
    return page;
  }

  async relay(node) {
    const relay = await Relay.open(this.world.nodes[node].port);
    this.#closers.push(() => relay.close());
    return relay;
  }

  /** Runs a function in a worker of a page. */
  inWorker(page, kind, run, argument) {
    return page.evaluate(runInWorker, { kind, code: String(run), argument });
  }

  /** Publishes to this item's room, or to another. */
  async publish(body, { node = "one", room = this.room, headers = { "Content-Type": "text/plain" } } = {}) {
    const response = await fetch(`${this.origin(node)}/rooms/${room}/messages`, { method: "POST", body, headers });
    if (response.status !== 202) throw new Error(`${response.status} ${await response.text()}`);
    return (await response.json()).id;
  }

  /** How many connections a node has in this item's room. */
  async connections(node = "one") {
    const response = await fetch(`http://127.0.0.1:${this.world.nodes[node].admin}/api/connections?room=${this.room}`);
    return (await response.json()).connections.length;
  }

  /** Waits until a node has so many. */
  async untilConnections(count, node) {
    while ((await this.connections(node)) !== count) await pause(20);
  }

  /** The node ends as in a crash (`kill`) or is asked to end (`term`). */
  has(what, node) {
    return this.world.ask(what, node);
  }

  async close() {
    for (const close of this.#closers.reverse()) await close();
  }
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
