// A page in headless Chromium: page.mjs URL [SCRIPT]. The script is typed into the page's developer console. Prints what the
// page logs and, where there is no script, each line that it comes to show. Runs until it is ended.
import { readFileSync } from "node:fs";
import { launch } from "./browser-launch.mjs";

const [url, script] = process.argv.slice(2);

const browser = await launch();
const page = await browser.newPage();
page.on("console", (message) => message.type() === "log" && console.log(message.text()));
page.on("pageerror", (error) => console.log(`error: ${error.message}`));
await page.goto(url);

if (script) {
  await page.evaluate(readFileSync(script, "utf8"));
} else {
  const printed = new Map();
  setInterval(async () => {
    const counts = new Map();
    for (const line of (await page.innerText("body")).split("\n")) {
      counts.set(line, (counts.get(line) ?? 0) + 1);
      if (counts.get(line) <= (printed.get(line) ?? 0)) continue;
      printed.set(line, counts.get(line));
      console.log(line);
    }
  }, 100);
}
