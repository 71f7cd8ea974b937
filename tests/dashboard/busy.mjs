// What each page does with much, with slow answers and with refusals: it goes on, or says where it ends.
import { PATIENCE_MS, check, installed, picture, seen, signIn, signedIn, tab, token, turnTo, url, violations, websocket, withBrowser } from "./browser.mjs";

const mqtt = installed("mqtt");
const STREAMS_MAX = 16;
const ARCHIVED = 40;
const PAGE = 15;
const BURST = 300;

/** Asks again and again, until it is so or patience ends. */
async function until(is_so) {
  const end = Date.now() + PATIENCE_MS;
  while (!(await is_so())) {
    if (Date.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}

/** Something that is let through once `open` is called. */
function gate() {
  const made = {};
  made.passed = new Promise((resolve) => { made.open = resolve; });
  return made;
}

/** What is asked for becomes smaller, so that little is already too much for a page. */
function smaller(address) {
  const asked = new URL(address);
  asked.searchParams.set("limit", String(PAGE));
  return asked.href;
}

async function deliveries(browser) {
  const page = await signedIn(browser, token);
  await page.route("**/api/v1/sessions/archive?*", (route) => route.continue({ url: smaller(route.request().url()) }));
  await turnTo(page, "clients/archive");
  const positions = () => page.locator("td[data-label=Position]").allInnerTexts();
  const found = [];
  for (let number = 1; number <= Math.ceil(ARCHIVED / PAGE); number += 1) {
    await seen(`deliveries have a page ${number}`, page.getByText(`Page ${number}`, { exact: true }));
    found.push(...(await positions()));
    if (number === 2) await picture(page, "session-page");
    if (number * PAGE < ARCHIVED) await page.getByRole("button", { name: "Next" }).click();
  }
  check("the pages show every delivery once", new Set(found).size === ARCHIVED && found.length === ARCHIVED, found);
  await seen("how many there are in all is told", page.getByText(`${ARCHIVED} in all`));
  check("there is no page after the last", await page.getByRole("button", { name: "Next" }).isDisabled());
  await page.waitForResponse((response) => response.url().includes("sessions/archive"));
  await page.waitForResponse((response) => response.url().includes("sessions/archive"));
  check("a page stays when it is refreshed", await page.getByText("Page 3", { exact: true }).isVisible());
  await page.getByRole("button", { name: "Previous" }).click();
  await seen("and there is a way back", page.getByText("Page 2", { exact: true }));
  await page.context().close();
}

/** Answers for 25,000 sessions; the oldest exchange is in the last thousand. */
function manySessions(route) {
  const part = Number(new URL(route.request().url()).searchParams.get("cursor") ?? "0");
  const began = Date.now() - (part === 24 ? 7_200_000 : 60_000);
  const items = Array.from({ length: 10 }, (_, index) => ({ client_id: `client-${part}-${index}`, connected: true, awaited: "puback",
    packet_id: index + 1, since_ms: began + index, resent: 0, position: index }));
  return route.fulfill({ json: { items, next: part < 24 ? String(part + 1) : undefined, unanswered: 0 } });
}

async function stuck(browser) {
  const page = await signedIn(browser, token);
  await page.route("**/api/v1/handshakes?*", manySessions);
  await turnTo(page, "stuck");
  await seen("where the look ended is told", page.getByText(/Only the first 20,000 sessions were looked at.* there are more/));
  await seen("a list that ends is told", page.getByText("The 100 oldest are shown; there are more."));
  check("what lies behind is not shown yet", (await page.getByRole("link", { name: "client-24-0", exact: true }).count()) === 0);
  await picture(page, "stuck-more");
  const found = await violations(page);
  check("axe finds nothing where more is offered", found.length === 0, found);
  await page.getByRole("button", { name: "Look at all sessions" }).click();
  await seen("all sessions are looked at if that is wanted", page.getByRole("row", { name: /2 h .* client-24-0 / }));
  check("and nothing is told to be missing", (await page.getByText("sessions were looked at").count()) === 0);
  check("that is in the address", page.url().includes("all=true"), page.url());
  await page.context().close();
}

async function opened(browser, publisher) {
  const page = await signedIn(browser, token);
  await turnTo(page, "trace");
  await page.getByLabel("Which").fill("opened/#");
  await page.getByLabel("with payloads").check();
  await page.getByRole("button", { name: "Follow", exact: true }).click();
  await seen("a trace is open", page.getByText("Following: 0 steps."));
  await publisher.publishAsync("opened/one", "first", { qos: 1 });
  await seen("a step is told", page.getByRole("row", { name: /answered .*PUBACK/ }));
  await page.locator("summary", { hasText: "show" }).first().click();
  await page.getByRole("button", { name: "Hex" }).first().click();
  await page.getByRole("button", { name: "Hex" }).first().focus();
  await seen("a payload is opened", page.locator("pre.payload", { hasText: "66 69 72 73 74" }));
  await publisher.publishAsync("opened/two", "second", { qos: 1 });
  await seen("more steps are told", page.getByRole("row", { name: /received .*opened\/two/ }));
  check("the opened payload stays open", await page.locator("pre.payload", { hasText: "66 69 72 73 74" }).isVisible());
  check("and keeps the focus", (await page.evaluate(() => document.activeElement.textContent)) === "Hex");
  for (let number = 0; number < 300; number += 1) publisher.publish("opened/many", "more", { qos: 0 });
  await publisher.publishAsync("opened/last", "last", { qos: 1 });
  await seen("many steps are told", page.getByRole("row", { name: /received .*opened\/last/ }));
  check("also where others had to go", await page.locator("pre.payload", { hasText: "66 69 72 73 74" }).isVisible());
  await picture(page, "trace-opened");
  const found = await violations(page);
  check("axe finds nothing in an opened payload", found.length === 0, found);
  await page.context().close();
}

async function tooManyStreams(browser) {
  const ending = new AbortController();
  // Kept, for one that nobody holds any more is ended when the garbage is collected.
  const open = [];
  // Those of tabs that were closed may end only now.
  const is_full = await until(async () => {
    const answer = await fetch(`${url}api/v1/live`, { headers: { Authorization: `Bearer ${token}` }, signal: ending.signal });
    if (answer.ok) open.push(answer);
    else await answer.body.cancel();
    return open.length === STREAMS_MAX;
  });
  check("as many streams are open as may be", is_full, open.length);
  const page = await signedIn(browser, token);
  await seen("why there are no live values is told", page.getByText(/No live values: too many streams are open.* asked again/));
  const words = await page.locator("#readiness").innerText();
  check("a broker that answers is not told to be out of reach", words === "Not live", words);
  await page.evaluate(() => scrollTo(0, 0));
  await picture(page, "streams");
  const found = await violations(page);
  check("axe finds nothing in it", found.length === 0, found);
  await page.setViewportSize({ width: 320, height: 700 });
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  check("nothing sticks out", overflow <= 0, overflow);
  await picture(page, "streams-phone");
  ending.abort();
  await seen("it is tried again", page.locator("#readiness", { hasText: /^Ready$/ }));
  check("and the words go", !(await page.locator("#hindrance").isVisible()));
  await page.context().close();
}

async function burst(browser, publisher) {
  const page = await signedIn(browser, token);
  let received = "";
  page.on("websocket", (socket) => socket.on("framereceived", ({ payload }) => { received += payload.toString("latin1"); }));
  await turnTo(page, "talk");
  await page.getByLabel("WebSocket address").fill(websocket);
  await page.getByRole("button", { name: "Connect", exact: true }).click();
  await seen("it connects", page.getByText(/connected as dashboard-/));
  await page.getByLabel("Topic filter").fill("burst/#");
  await page.getByRole("button", { name: "Subscribe", exact: true }).click();
  await seen("it subscribes", page.getByText("Subscribed to burst/# (QoS 1)."));
  await page.evaluate(() => {
    globalThis.frames_held = [];
    globalThis.frame = globalThis.requestAnimationFrame;
    globalThis.requestAnimationFrame = (draw) => globalThis.frames_held.push(draw);
  });
  for (let number = 1; number < BURST; number += 1) publisher.publish("burst/many", `one of many, ${number}`, { qos: 0 });
  await publisher.publishAsync("burst/many", "last of many", { qos: 1 });
  check("all have come", await until(() => received.includes("last of many")));
  await until(() => page.evaluate(() => globalThis.frames_held.length > 0));
  const drawn = await page.locator(".messages > .panel").count();
  check("nothing is drawn before there is a picture to draw", drawn === 0, drawn);
  const frames = await page.evaluate(() => globalThis.frames_held.length);
  check("one picture is asked for", frames === 1, frames);
  await page.evaluate(() => {
    globalThis.requestAnimationFrame = globalThis.frame;
    for (const draw of globalThis.frames_held) draw();
  });
  await seen("what is not shown is told", page.getByText(`${BURST} came; the newest 100 are shown.`));
  const shown = await page.locator(".messages > .panel").allInnerTexts();
  check("as many are shown as there is room for", shown.length === 100, shown.length);
  check("the newest first", shown[0]?.includes("last of many") && shown[1]?.includes(`one of many, ${BURST - 1}`), shown.slice(0, 2));
  await picture(page, "talk-burst");
  await page.getByRole("button", { name: "Clear" }).click();
  await seen("the list is cleared", page.getByText("Nothing has come yet."));
  await page.context().close();
}

/** Holds back answers to what `asked` matches, and counts how many are asked for at once. */
async function held(page, asked, pass) {
  const found = { at_once: 0, most: 0, addresses: [], release: gate() };
  await page.route(asked, async (route) => {
    found.at_once += 1;
    found.most = Math.max(found.most, found.at_once);
    found.addresses.push(route.request().url());
    await found.release.passed;
    found.at_once -= 1;
    await pass(route).catch(() => {});
  });
  return found;
}

async function slowAnswers(browser) {
  const page = await tab(browser);
  await page.clock.install();
  await page.goto(url);
  await signIn(page, token);
  const looks = await held(page, "**/api/v1/handshakes?*", (route) => route.continue());
  await turnTo(page, "stuck?older_ms=5000");
  await until(() => looks.at_once > 0);
  // Longer than a refresh waits, shorter than a page waits for an answer.
  await page.clock.fastForward(20_000);
  for (const least of ["0", "60000", "600000", "3600000"]) await page.getByLabel("Under way for at least").selectOption(least);
  // Asked for after them, so that they would have been asked for by now.
  await page.evaluate(() => fetch("assets/vow.svg"));
  check("no refresh begins while one is under way", looks.most === 1, looks.addresses);
  looks.release.open();
  check("what was chosen meanwhile is asked for then", await until(() => looks.addresses.at(-1).includes("older_ms=3600000")), looks.addresses);
  check("and once", looks.addresses.length === 2 && looks.most === 1, looks.addresses);

  const parts = await held(page, "**/api/v1/sessions/archive?*", (route) => route.continue({ url: smaller(route.request().url()) }));
  parts.release.open();
  await turnTo(page, "clients/archive");
  await seen("the first page is there", page.getByText("Page 1", { exact: true }));
  await until(() => parts.at_once === 0);
  parts.release = gate();
  const before = parts.addresses.length;
  await page.clock.fastForward(5000);
  check("it is refreshed", await until(() => parts.addresses.length > before));
  await page.getByRole("button", { name: "Next" }).click();
  await page.evaluate(() => fetch("assets/vow.svg"));
  check("nor is another page asked for meanwhile", parts.at_once === 1, parts.addresses);
  parts.release.open();
  await seen("it comes after the refresh", page.getByText("Page 2", { exact: true }));
  await page.context().close();
}

async function keepsTheFocus(browser) {
  const page = await signedIn(browser, token);
  await turnTo(page, "clients");
  await page.getByRole("link", { name: "machine-02", exact: true }).focus();
  await page.waitForResponse((response) => response.url().includes("api/v1/sessions"));
  await page.waitForResponse((response) => response.url().includes("api/v1/sessions"));
  const focused = await page.evaluate(() => document.activeElement.textContent);
  check("a list that is refreshed keeps the focus", focused === "machine-02", focused);
  await page.context().close();
}

await withBrowser(async (browser) => {
  const publisher = await mqtt.connectAsync(websocket, { protocolVersion: 5, clientId: "publisher" });
  await deliveries(browser);
  await stuck(browser);
  await opened(browser, publisher);
  await tooManyStreams(browser);
  await burst(browser, publisher);
  await slowAnswers(browser);
  await keepsTheFocus(browser);
  await publisher.endAsync();
});
