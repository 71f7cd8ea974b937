// What each page shows of the plant.
import { check, installed, picture, seen, signIn, signedIn, tab, token, turnTo, url, websocket, withBrowser } from "./browser.mjs";

const mqtt = installed("mqtt");
const port = new URL(websocket).port;

async function entrance(browser) {
  const page = await tab(browser);
  await page.goto(`${url}#/stuck`);
  await seen("a token is asked for", page.getByRole("heading", { name: "Sign in" }));
  await page.getByLabel("Token").fill("not the right token at all");
  await page.getByRole("button", { name: "Sign in" }).click();
  await seen("a wrong token is told", page.getByText("this token is not known here"));
  check("a wrong token is not kept", (await page.evaluate(() => sessionStorage.length)) === 0);
  await picture(page, "sign-in");
  await signIn(page, token);
  await seen("the page that was asked for is opened", page.getByRole("heading", { name: "Stuck deliveries" }));
  await page.reload();
  await seen("the token lasts as long as the tab", page.getByRole("heading", { name: "Stuck deliveries" }));
  check("there are no cookies", (await page.context().cookies()).length === 0);
  await page.getByRole("button", { name: "Sign out" }).click();
  await seen("signing out ends it", page.getByRole("heading", { name: "Sign in" }));
  check("the token is forgotten", (await page.evaluate(() => sessionStorage.length)) === 0);
  check("signing in and out has no complaints", page.complaints.length === 0, page.complaints);
}

async function overview(page) {
  await turnTo(page, "overview");
  await seen("the broker is ready", page.locator("#readiness", { hasText: "Ready" }));
  await seen("connections are counted", page.locator(".tile", { hasText: "Connections" }).getByText(/^2\d$/));
  await seen("commits are timed", page.locator(".tile", { hasText: "Commit" }).getByText(/µs|ms/));
  await seen("drops are told by reason", page.locator(".panel", { hasText: "Deliveries dropped, by reason" }).getByText("queue full"));
  await seen("lines are drawn", page.locator(".chart canvas"));
  check("each chart has its values as text", (await page.locator(".chart .legend b").count()) === 12);
}

async function clients(page) {
  await turnTo(page, "clients");
  await seen("clients are listed", page.getByRole("link", { name: "machine-01", exact: true }));
  await page.getByLabel("Client identifier contains").fill("press");
  await page.getByRole("link", { name: "machine-01" }).waitFor({ state: "detached" });
  check("a search finds the one", (await page.locator("tbody tr").count()) === 1);
  check("the search is in the address", page.url().includes("contains=press"), page.url());
  await page.getByRole("link", { name: "press-7" }).click();
  await seen("a session has a page", page.getByRole("heading", { name: "press-7" }));
  await seen("what its message waits for is told", page.getByRole("row", { name: /awaiting PUBREC .*plant\/press\/7\/recipe/ }));
  await picture(page, "session");
  await page.goBack();
  await seen("and back", page.getByRole("heading", { name: "Clients & sessions" }));
  await turnTo(page, "clients?state=away");
  await seen("who is away is found", page.getByRole("row", { name: /archive away/ }));
  await turnTo(page, "clients/saw-3");
  await seen("a message that the client has is told", page.getByRole("row", { name: /awaiting PUBCOMP .*the client has it/ }));
  await turnTo(page, "clients/feeder");
  await seen("a message that the client has not released is told", page.getByText("1: packet id 5"));
  await turnTo(page, "clients/archive");
  await seen("queued messages are told", page.getByRole("row", { name: /queued .*readings\/hall/ }));
  await turnTo(page, "clients/nobody");
  await seen("a session that is not there is told", page.getByRole("alert"));
}

async function stuck(page) {
  await turnTo(page, "stuck?older_ms=0");
  await seen("the stuck messages are found", page.getByRole("row", { name: /PUBREC press-7/ }));
  const rows = await page.locator("tbody tr").allInnerTexts();
  check("all three are there", rows.length === 3, rows);
  check("what has no time known is last", rows[2].includes("feeder"), rows);
  await seen("and leads to the session", page.getByRole("link", { name: "saw-3" }));
}

async function topics(page) {
  await turnTo(page, "topics");
  const tree = page.locator(".tree");
  await seen("levels are shown", tree.getByText("hall"));
  await tree.locator("summary", { hasText: "press" }).first().click();
  await turnTo(page, "topics?topic=plant%2Fpress%2F7%2Fstate");
  await seen("JSON is set out", page.locator("pre.payload", { hasText: "\"rpm\": 1480" }));
  await page.getByRole("button", { name: "Hex" }).click();
  await seen("bytes are shown as such", page.locator("pre.payload", { hasText: "7b 22 72" }));
  await turnTo(page, "topics?topic=plant%2Fsaw%2F3%2Fraw");
  await seen("what is no text is shown as bytes", page.locator("pre.payload", { hasText: "00 01 02 ff" }));
  await page.getByRole("button", { name: "Watch" }).click();
  await seen("a topic is watched", page.getByText("messages a second, over the last 10 seconds"));
}

async function subscriptions(page) {
  await turnTo(page, "subscriptions?topic=plant%2Fpress%2F7%2Frecipe");
  await seen("who would get a topic is told", page.getByRole("row", { name: /press-7 connected 2 its own subscription/ }));
  await seen("a group is told with its members", page.getByRole("row", { name: /\$share\/workers\/jobs\/# worker-1, worker-2 2 of 2/ }));
  await page.getByLabel("Topic name").fill("jobs/12");
  await page.getByRole("button", { name: "Look" }).click();
  await seen("a member of a group is told", page.getByText("one of its members"));
  await page.getByLabel("Topic filter contains").fill("plant/12");
  await seen("a filter is found", page.getByRole("row", { name: /plant\/12\/orders machine-12/ }));
}

async function drops(page) {
  await turnTo(page, "drops");
  await seen("drops are counted by reason", page.getByRole("row", { name: /queue_full .*queue.on_full drops .* 5$/ }));
}

async function trace(page, publisher) {
  await turnTo(page, "trace");
  await page.getByLabel("Follow by").selectOption("topic");
  await page.getByLabel("Which").fill("traced/#");
  await page.getByLabel("with payloads").check();
  await page.getByRole("button", { name: "Follow", exact: true }).click();
  await seen("a trace is open", page.getByText("Following: 0 steps."));
  await publisher.publishAsync("traced/one", "first", { qos: 2 });
  await publisher.publishAsync("traced/two", "second", { qos: 1 });
  await seen("steps are told", page.getByRole("row", { name: /received .*traced\/one/ }));
  await seen("the end of a message is told", page.getByRole("row", { name: /answered .*PUBCOMP/ }));
  const mark = page.getByRole("row", { name: /received .*traced\/two/ }).getByRole("button");
  await mark.click();
  await page.getByRole("row", { name: /traced\/one/ }).first().waitFor({ state: "detached" });
  await seen("one message is followed alone", page.getByRole("row", { name: /traced\/two/ }));
  await picture(page, "trace-live");
  await page.getByRole("button", { name: "Stop" }).click();
  await seen("a trace is ended", page.getByText(/^Stopped: /));
}

async function talk(page, publisher) {
  await turnTo(page, "talk");
  const address = page.getByLabel("WebSocket address");
  await page.waitForFunction(() => document.querySelector("input[inputmode=url]").value !== "");
  check("the listener is known", (await address.inputValue()) === websocket, await address.inputValue());
  await address.fill(`ws://127.0.0.1:${Number(port) === 65535 ? 1 : 65535}/mqtt`);
  await page.getByRole("button", { name: "Connect", exact: true }).click();
  await seen("a connection that fails is told", page.getByRole("alert"));
  const refused = page.complaints.splice(0);
  check("the browser complains of nothing else", refused.every((text) => /WebSocket|404 \(Not Found\)/.test(text)), refused);
  await address.fill(websocket);
  await page.getByRole("button", { name: "Connect", exact: true }).click();
  await seen("it connects", page.getByText(/connected as dashboard-/));
  await page.getByLabel("Topic filter").fill("talk/#");
  await page.getByRole("button", { name: "Subscribe", exact: true }).click();
  await seen("it subscribes", page.getByText("Subscribed to talk/# (QoS 1)."));
  await publisher.publishAsync("talk/in", "{\"said\":\"hello\"}", { qos: 1 });
  await seen("what comes is shown", page.locator("pre.payload", { hasText: "\"said\": \"hello\"" }));
  await page.getByLabel("Topic name").fill("talk/out");
  await page.getByRole("textbox", { name: "Payload" }).fill("from the page");
  await page.getByRole("button", { name: "Publish", exact: true }).click();
  await seen("an acknowledgement is told", page.getByText(/^Acknowledged after/));
  await seen("and its own message comes back", page.locator("pre.payload", { hasText: "from the page" }));
  await picture(page, "talk-live");
}

async function settings(page) {
  await turnTo(page, "settings?contains=queued_messages");
  await seen("a setting is told with its source", page.getByRole("row", { name: /limits\.queued_messages_max 40 .*vowmq\.toml/ }));
  await turnTo(page, "settings?contains=receive_max");
  await seen("a default is told as such", page.getByRole("row", { name: /limits\.receive_max 1024 default for new clients/ }));
}

await withBrowser(async (browser) => {
  await entrance(browser);
  const publisher = await mqtt.connectAsync(websocket, { protocolVersion: 5, clientId: "publisher" });
  const page = await signedIn(browser, token);
  const working = setInterval(() => publisher.publish("plant/hall/light", "640", { qos: 1, retain: true }), 50);
  await overview(page);
  clearInterval(working);
  await clients(page);
  await stuck(page);
  await topics(page);
  await subscriptions(page);
  await drops(page);
  await trace(page, publisher);
  await talk(page, publisher);
  await settings(page);
  const expected = page.complaints.filter((text) => !text.includes("404 (Not Found)"));
  check("no page has complaints", expected.length === 0, expected);
  await publisher.endAsync();
});
