// Client identifiers, topics and payloads are other people's: they are shown, and never become a part of the page.
import { PAGES, check, seen, signedIn, token, turnTo, websocket, withBrowser, installed, picture } from "./browser.mjs";

const mqtt = installed("mqtt");
const NAME = "<img src=x onerror=globalThis.broken=1>";

await withBrowser(async (browser) => {
  const page = await signedIn(browser, token);
  const untouched = async (where) => {
    const found = await page.evaluate(() => ({
      broken: globalThis.broken ?? null,
      foreign: document.querySelectorAll("main img, main script, main iframe, main b[onmouseover]").length,
    }));
    check(`${where} is untouched`, found.broken === null && found.foreign === 0, found);
  };
  const attacker = await mqtt.connectAsync(websocket, { protocolVersion: 5, clientId: `${NAME}2` });
  for (const name of PAGES) {
    await turnTo(page, name);
    await untouched(name);
  }
  await turnTo(page, "clients?contains=onerror");
  await seen("the name is shown as it is", page.getByRole("link", { name: NAME, exact: true }));
  await page.getByRole("link", { name: NAME, exact: true }).click();
  await seen("its session has a page", page.getByRole("heading", { name: NAME }));
  await seen("its filter is shown as it is", page.getByText(`hostile/${NAME}`));
  await untouched("its session's page");
  await picture(page, "hostile");
  await page.getByRole("button", { name: "Disconnect" }).click();
  await untouched("the question");
  await page.keyboard.press("Escape");
  await turnTo(page, `topics?topic=${encodeURIComponent(`hostile/${NAME}`)}`);
  await seen("the payload is shown as it is", page.locator("pre.payload", { hasText: "<script>" }));
  await untouched("the topic");
  await turnTo(page, `subscriptions?topic=${encodeURIComponent(`hostile/${NAME}`)}`);
  await seen("the receiver is shown as it is", page.getByRole("link", { name: NAME, exact: true }));
  await untouched("its receivers");
  await turnTo(page, `trace?topic=${encodeURIComponent("hostile/#")}`);
  await seen("a trace is open", page.getByText("Following: 0 steps."));
  await attacker.publishAsync(`hostile/${NAME}`, NAME, { qos: 1 });
  await seen("its steps are shown as they are", page.getByRole("link", { name: `${NAME}2` }));
  await untouched("the trace");
  await turnTo(page, "clients/%2e%2e%2f%2e%2e%2fmetrics");
  await untouched("a name that climbs");
  check("nothing complains", page.complaints.every((text) => text.includes("404")), page.complaints);
  await attacker.endAsync();
});
