// A page in headless Chromium with MQTT.js: over WebSocket or WebSocket over TLS, from a page of an allowed origin and from
// one of another. Arguments: the broker's URL, and the port that the page is served from.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const [url, port] = process.argv.slice(2);
const library = await readFile(fileURLToPath(new URL("node_modules/mqtt/dist/mqtt.min.js", import.meta.url)));
const page = `<!doctype html><title>MQTT</title><script src="/mqtt.js"></script>`;

const server = createServer((request, response) => {
  const isLibrary = request.url === "/mqtt.js";
  response.setHeader("Content-Type", isLibrary ? "text/javascript" : "text/html");
  response.end(isLibrary ? library : page);
});
await new Promise((listening) => server.listen(Number(port), "127.0.0.1", listening));

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--ignore-certificate-errors"],
});

// What a page of this origin gets: the message it published, or why it was not let in.
async function talk(origin) {
  const tab = await browser.newPage();
  await tab.goto(origin);
  return await tab.evaluate(async (url) => {
    const client = globalThis.mqtt.connect(url, { protocolVersion: 5, reconnectPeriod: 0, connectTimeout: 10000 });
    return await new Promise((tell) => {
      client.on("error", (error) => tell(`error: ${error.message}`));
      client.on("close", () => tell("closed"));
      client.on("message", (topic, payload) => tell(`${topic}: ${payload}`));
      client.on("connect", async () => {
        await client.subscribeAsync("page/+", { qos: 2 });
        await client.publishAsync("page/said", "hello from a page", { qos: 2 });
      });
    });
  }, url);
}

function check(what, found, expected) {
  const is_right = expected(found);
  console.log(`${is_right ? "ok" : "FAIL"} ${what}: ${found}`);
  if (!is_right) process.exitCode = 1;
}

try {
  check("a page of a listed origin", await talk(`http://127.0.0.1:${port}/`), (found) => found === "page/said: hello from a page");
  check("a page of another origin", await talk(`http://localhost:${port}/`), (found) => found !== "page/said: hello from a page");
} finally {
  await browser.close();
  server.close();
}
