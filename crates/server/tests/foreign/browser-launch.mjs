// Headless Chromium, as the programs of this folder use it.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

/** With further arguments for Chromium. */
export function launch(more = []) {
  return chromium.launch({
    executablePath: process.env.PATH.split(":").map((folder) => `${folder}/chromium`).find(existsSync),
    // Its sandbox does not work for root.
    chromiumSandbox: process.getuid() !== 0,
    // Only what is on this machine is asked.
    args: ["--disable-gpu", "--disable-quic", "--disable-sync", "--no-proxy-server", ...more],
  });
}
