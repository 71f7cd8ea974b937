// Every page for everybody: by the rules of axe, in both colours, wide and narrow; by keyboard; without motion.
import { PAGES, check, installed, picture, signedIn, tab, token, turnTo, url, violations, websocket, withBrowser } from "./browser.mjs";

const PLACES = [...PAGES.filter((name) => name !== "topics"), "clients/press-7", "topics?topic=plant%2Fpress%2F7%2Fstate",
  "stuck?older_ms=0", "subscriptions?topic=plant%2Fpress%2F7%2Frecipe", "trace?client_id=press-7", "clients/nobody"];
const SCREENS = [["desktop", 1280, 900], ["phone", 320, 700], ["phone-wide", 400, 800]];

const named = (place) => place.replace(/\?.*/, "").replaceAll("/", "-");

async function settled(page) {
  await page.waitForFunction(() => ![...document.querySelectorAll("main .empty")].some((found) => found.textContent === "…" && found.checkVisibility()));
  // The charts of the overview need two samples.
  if (page.url().includes("#/overview")) await page.waitForFunction(() => /µs|ms/.test(document.querySelector(".charts .panel:nth-child(3) .legend").textContent));
}

async function look(browser, colorScheme, [screen, width, height]) {
  const page = await signedIn(browser, token, { colorScheme, viewport: { width, height } });
  for (const place of PLACES) {
    await turnTo(page, place);
    await settled(page);
    const found = await violations(page);
    check(`${place}, ${colorScheme}, ${screen}: axe finds nothing`, found.length === 0, found);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    check(`${place}, ${colorScheme}, ${screen}: nothing sticks out`, overflow <= 0, overflow);
    await picture(page, `${named(place)}-${colorScheme}-${screen}`);
  }
  await page.context().close();
}

async function entrance(browser, colorScheme, [screen, width, height]) {
  const page = await tab(browser, { colorScheme, viewport: { width, height } });
  await page.goto(url);
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  const found = await violations(page);
  check(`signing in, ${colorScheme}, ${screen}: axe finds nothing`, found.length === 0, found);
  await page.context().close();
}

async function byKeyboard(browser) {
  const page = await signedIn(browser, token);
  await turnTo(page, "overview");
  const focused = () => page.evaluate(() => document.activeElement.textContent);
  check("a page that is turned to has the focus", (await focused()) === "Overview", await focused());
  await page.locator(".brand").focus();
  await page.keyboard.press("Shift+Tab");
  check("the first stop skips to the page", (await focused()) === "Skip to the page", await focused());
  for (let stops = 0; stops < 20 && (await focused()) !== "Stuck deliveries"; stops += 1) await page.keyboard.press("Tab");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  check("the focus is seen", outline === "solid", outline);
  await page.keyboard.press("Enter");
  await page.locator("main[data-page=stuck] h1").waitFor();
  check("the page is opened by keyboard", page.url().endsWith("#/stuck"), page.url());
  await page.locator("#skip").focus();
  await page.keyboard.press("Enter");
  check("skipping leads into the page", (await page.evaluate(() => document.activeElement.id)) === "page");
  check("and the page stays", await page.locator("main[data-page=stuck] h1").isVisible());
  await page.context().close();
}

await withBrowser(async (browser) => {
  const publisher = await installed("mqtt").connectAsync(websocket, { protocolVersion: 5, clientId: "publisher" });
  const working = setInterval(() => publisher.publish("plant/hall/light", String(Math.round(Math.random() * 800)), { qos: 1, retain: true }), 40);
  for (const colorScheme of ["light", "dark"]) {
    for (const screen of SCREENS) {
      await entrance(browser, colorScheme, screen);
      await look(browser, colorScheme, screen);
    }
  }
  await byKeyboard(browser);
  clearInterval(working);
  await publisher.endAsync();
});
