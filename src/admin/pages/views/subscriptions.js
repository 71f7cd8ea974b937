// Who gets what: receivers of a topic, subscriptions, shared groups.
import { h, field, panel, refill, tag, told } from "../parts/element.js";
import { keep, link } from "../parts/place.js";
import { pager, table } from "../parts/table.js";
import { read } from "../parts/api.js";
import { count } from "../parts/wording.js";
import { presence } from "./clients.js";

const ROWS = 50;
const TYPING_MS = 250;

const client = (row) => h("a", { href: link("clients", [row.client_id]) }, row.client_id);
const there = (row) => presence({ ...row, durable: true });

const RECEIVER_COLUMNS = [
  ["Client", client, "name"],
  ["State", there, "still"],
  ["At QoS", (row) => String(row.qos), "number"],
  ["Through", (row) => (row.share ? h("span", {}, h("code", {}, row.share), " ", tag("one of its members")) : "its own subscription")],
  ["Queued", (row) => count(row.queued_messages), "number"],
];

const SUBSCRIPTION_COLUMNS = [
  ["Topic filter", (row) => h("code", {}, row.filter), "name"],
  ["Client", client, "name"],
  ["State", there, "still"],
  ["QoS", (row) => String(row.qos), "number"],
];

const GROUP_COLUMNS = [
  ["Shared subscription", (row) => h("code", {}, row.filter), "name"],
  ["Members", (row) => h("span", {}, ...row.members.flatMap((member, index) => [index > 0 && ", ", client(member),
    !member.connected && " (away)"])), "name"],
  ["Connected", (row) => `${row.members.filter((member) => member.connected).length} of ${row.members.length}`, "number"],
  ["Queued", (row) => count(row.members.reduce((sum, member) => sum + member.queued_messages, 0)), "number"],
];

/** A page of the API may hold nothing and have a next one: goes on until there is something to show. */
async function filled(query, signal) {
  let page = await read("subscriptions", query, signal);
  for (let again = 0; again < 20 && page.items.length === 0 && page.next !== undefined; again += 1) {
    page = await read("subscriptions", { ...query, cursor: page.next }, signal);
  }
  return page;
}

export function open(place, signal) {
  const topic = h("input", { type: "text", value: place.query.get("topic") ?? "", placeholder: "e.g. plant/hall/temperature",
    autocomplete: "off", spellcheck: "false", required: true });
  const contains = h("input", { type: "search", value: place.query.get("contains") ?? "", autocomplete: "off", spellcheck: "false" });
  const receivers = table({ caption: "Receivers of the topic", columns: RECEIVER_COLUMNS, none: "Nobody would get it." });
  const list = table({ caption: "Subscriptions", columns: SUBSCRIPTION_COLUMNS, none: "No subscription is like that." });
  const groups = table({ caption: "Shared subscriptions", columns: GROUP_COLUMNS, none: "There are no shared subscriptions." });
  const answer = h("div", { hidden: true, "aria-live": "polite" }, receivers.box);
  const trouble = h("div");
  const attempt = async (work) => {
    try {
      await work();
      refill(trouble);
    } catch (problem) {
      if (!signal.aborted) refill(trouble, told(problem));
    }
  };
  const kept = () => keep("subscriptions", [], { topic: topic.value, contains: contains.value });
  const look = () => attempt(async () => {
    receivers.show(await read("receivers", { topic: topic.value }, signal));
    answer.hidden = false;
  });
  const pages = pager((cursor) => filled({ contains: contains.value, cursor, limit: ROWS }, signal), list.show, attempt);
  const groupPages = pager((cursor) => read("groups", { cursor, limit: ROWS }, signal), groups.show, attempt);
  const submit = (event) => {
    event.preventDefault();
    kept();
    look();
  };
  let typing;
  contains.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      // Another page is shown by now.
      if (signal.aborted) return;
      kept();
      attempt(pages.restart);
    }, TYPING_MS);
  });
  if (topic.value) look();
  attempt(pages.refresh);
  attempt(groupPages.refresh);
  const body = h("div", {},
    h("h1", { tabindex: "-1" }, "Subscriptions"),
    h("p", { class: "lead" }, "Who gets what, now: the same walk that a message takes."),
    trouble,
    panel("Who would get this topic?", h("form", { class: "bar", on: { submit } },
      field("Topic name", topic), h("button", { type: "submit", class: "main" }, "Look")), answer),
    panel("Shared groups", groups.box, groupPages.bar),
    panel("Subscriptions", h("div", { class: "bar" }, field("Topic filter contains", contains)), list.box, pages.bar));
  return { title: "Subscriptions", body };
}
