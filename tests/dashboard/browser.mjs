// A headless Chromium with the dashboard in it, and checks that are told line by line.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

export const installed = createRequire(new URL("../clients/package.json", import.meta.url));
const { chromium } = installed("playwright-core");

export const [url, token, reader, websocket, pictures] = process.argv.slice(2);
export const PATIENCE_MS = 15_000;

export const PAGES = ["overview", "clients", "stuck", "topics", "subscriptions", "trace", "talk", "drops", "settings"];

/** Starts the browser, does the work, ends the browser. */
export async function withBrowser(work) {
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
  try {
    await work(browser);
  } finally {
    await browser.close();
  }
}

export function check(what, is_right, found = "") {
  console.log(`${is_right ? "ok" : "FAIL"} ${what}${is_right || found === "" ? "" : `: ${JSON.stringify(found)}`}`);
  if (!is_right) process.exitCode = 1;
}

/** Waits for something to be seen; a failure with its name if it does not come. */
export async function seen(what, locator) {
  try {
    await locator.first().waitFor({ state: "visible", timeout: PATIENCE_MS });
    check(what, true);
  } catch {
    check(what, false, (await locator.page().locator("main").innerText()).slice(0, 600));
  }
}

/** A tab whose complaints (errors, refused scripts and styles, requests to elsewhere) are kept. */
export async function tab(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(`${error}`));
  page.on("console", (said) => {
    // A token that is asked for is no fault.
    const is_asked = said.text().includes("401 (Unauthorized)");
    if (["error", "warning"].includes(said.type()) && !is_asked) page.complaints.push(said.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("data:")) page.complaints.push(`elsewhere: ${request.url()}`);
  });
  return page;
}

export async function signIn(page, secret) {
  await page.getByLabel("Token").fill(secret);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("navigation", { name: "Pages" }).waitFor();
}

export async function signedIn(browser, secret, options) {
  const page = await tab(browser, options);
  await page.goto(url);
  await signIn(page, secret);
  return page;
}

/** Goes to a page by its address, and waits until it is there. */
export async function turnTo(page, place) {
  const name = place.split(/[/?]/)[0];
  await page.evaluate((hash) => {
    document.getElementById("page").dataset.page = "";
    if (location.hash === hash) dispatchEvent(new HashChangeEvent("hashchange"));
    else location.hash = hash;
  }, `#/${place}`);
  await page.locator(`main[data-page="${name}"] h1`).waitFor();
}

/** What axe finds wrong with a page as it is. */
export async function violations(page) {
  await page.evaluate(await readFile(installed.resolve("axe-core/axe.min.js"), "utf8"));
  return await page.evaluate(async () => {
    const { violations, passes } = await globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
    if (passes.length < 15) return [`only ${passes.length} rules were tried`];
    return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ target, failureSummary }) => `${target} ${failureSummary}`).join(" | ")}`);
  });
}

export const picture = (page, name) => page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
