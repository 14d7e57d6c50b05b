// What a client of the JavaScript package does in the tests, in Node.js and in a page alike: it tells everything that it hears, and
// publishes numbered messages to its rooms in turn, each when the one before is answered.

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Runs a client as `config` says; gives what stops its publishing and what closes it. */
export function start({ connect }, { url, rooms, options, publisher, paceMs }, tell, extra) {
  const client = connect(url, { ...options, ...extra, rooms });
  for (const what of ["status", "joined", "missed"]) client.on(what, (value) => tell({ what, ...value }));
  client.on("message", ({ room, id, data }) => tell({ what: "message", room, id, data }));
  client.on("left", ({ room, error }) => tell({ what: "left", room, code: error?.code }));
  client.on("closed", (error) => tell({ what: "closed", code: error?.code ?? "" }));
  let enough = publisher == null;
  const publish = async () => {
    for (let n = 0; !enough; n++) {
      const room = rooms[n % rooms.length];
      const data = { p: publisher, n };
      try {
        const { id } = await client.publish(room, data);
        tell({ what: "accepted", room, id, data });
      } catch ({ code, message }) {
        return tell({ what: "rejected", code, message });
      }
      await sleep(paceMs);
    }
  };
  const published = publish();
  return {
    stop: async () => {
      enough = true;
      await published;
      tell({ what: "stopped" });
    },
    close: () => client.close(),
  };
}
