import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { build } from "esbuild";

const root = new URL("..", import.meta.url);

test("every example in the documents is made of what the package has", async () => {
  let examples = 0;
  for (const document of ["README.md", "../../docs/javascript.md"]) {
    const text = readFileSync(new URL(document, root), "utf8");
    for (const [, loader, contents] of text.matchAll(/```(js|ts)\n(.*?)```/gs)) {
      const stdin = { contents, loader, resolveDir: root.pathname };
      // Names that are not exported, and packages that are not there, are errors.
      const { warnings } = await build({ stdin, bundle: true, format: "esm", write: false, target: "es2022" });
      assert.deepEqual(warnings, []);
      examples += 1;
    }
  }
  assert.equal(examples, 4);
});
