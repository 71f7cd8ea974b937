// What changes the broker: asked first, for those who may.
import { check, reader, seen, signedIn, token, turnTo, url, withBrowser } from "./browser.mjs";

const api = (path) => fetch(`${url}api/v1/${path}`, { headers: { Authorization: `Bearer ${token}` } });

async function forReaders(browser) {
  const page = await signedIn(browser, reader);
  await turnTo(page, "clients/press-7");
  await seen("a reader sees the session", page.getByRole("row", { name: /awaiting PUBREC/ }));
  check("and is offered nothing to change it", (await page.getByRole("button", { name: /Disconnect|Delete/ }).count()) === 0);
  await turnTo(page, "topics?topic=plant%2Fsaw%2F3%2Fstate");
  await seen("a reader sees the payload", page.locator("pre.payload", { hasText: "idle" }));
  check("and cannot delete it", (await page.getByRole("button", { name: /Delete/ }).count()) === 0);
  await page.close();
}

async function disconnecting(page) {
  await turnTo(page, "clients/machine-03");
  await page.getByRole("button", { name: "Disconnect" }).click();
  await seen("it is asked first", page.getByRole("dialog"));
  check("what changes nothing has the focus", await page.getByRole("button", { name: "Cancel" }).evaluate((button) => button === document.activeElement));
  await page.keyboard.press("Enter");
  check("cancelled, nothing happens", (await (await api("sessions/machine-03")).json()).connected === true);
  await page.getByRole("button", { name: "Disconnect" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Disconnect" }).click();
  await seen("that it was done is told", page.getByText("The connection was ended."));
  check("the connection is ended", (await (await api("sessions/machine-03")).json()).connected === false);
}

async function deleting(page) {
  await turnTo(page, "clients/machine-04");
  await page.getByRole("button", { name: "Delete session" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete session" }).click();
  await seen("then the list is shown", page.getByRole("heading", { name: "Clients & sessions" }));
  check("the session is gone", (await api("sessions/machine-04")).status === 404);
  await turnTo(page, "topics?topic=plant%2Fsaw%2F3%2Fstate");
  await page.getByRole("button", { name: "Delete retained" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await seen("that it was deleted is told", page.getByText("The retained message was deleted."));
  const left = await (await api("retained?filter=plant/saw/3/state")).json();
  check("the retained message is gone", left.items.length === 0, left);
}

await withBrowser(async (browser) => {
  await forReaders(browser);
  const page = await signedIn(browser, token);
  await disconnecting(page);
  await deleting(page);
  check("nothing complains", page.complaints.length === 0, page.complaints);
});
