import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/** All of the package that `connect` brings, as a page would load it. */
const BYTES_MAX = 8 * 1024;

/** A program as a bundler would make it. */
async function bundle(program) {
  const stdin = { contents: program, resolveDir: new URL("..", import.meta.url).pathname };
  const { outputFiles } = await build({ stdin, bundle: true, minify: true, format: "esm", write: false });
  return outputFiles[0].contents;
}

test("everything takes less than 8 KiB", async () => {
  const size = gzipSync(await bundle('export * from "./dist/index.js"'), { level: 9 }).length;
  console.log(`${size} bytes with gzip`);
  assert.ok(size < BYTES_MAX, `${size} bytes`);
});

test("what is not used is left out", async () => {
  assert.ok((await bundle('import "./dist/index.js"')).length < 100);
  assert.ok((await bundle('import { RoomcastError } from "./dist/index.js"; console.log(RoomcastError)')).length < 400);
});
