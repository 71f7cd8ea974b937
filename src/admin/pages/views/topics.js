// Topics by level with what they retain, and how busy one is.
import { h, facts, field, panel, refill, told, empty } from "../parts/element.js";
import { keep } from "../parts/place.js";
import { ask, follow, read } from "../parts/api.js";
import { maySteer } from "../parts/operator.js";
import { steer } from "../parts/notice.js";
import { payloadOf } from "../parts/payload.js";
import { link } from "../parts/place.js";
import { bytes, count, moment, rate } from "../parts/wording.js";

const PAGE = 500;
const WINDOW_S = 10;

/** Names by level: each level has its children, and a topic where a message is retained. */
function grow(messages) {
  const root = { children: new Map(), topics: 0 };
  for (const message of messages) {
    let at = root;
    root.topics += 1;
    for (const level of message.topic.split("/")) {
      if (!at.children.has(level)) at.children.set(level, { children: new Map(), topics: 0 });
      at = at.children.get(level);
      at.topics += 1;
    }
    at.message = message;
  }
  return root;
}

function branches(level, depth, pick) {
  const items = [...level.children].sort(([a], [b]) => a.localeCompare(b));
  return h("ul", {}, ...items.map(([name, below]) => {
    const shown = name === "" ? "(empty level)" : name;
    const own = below.message && h("button", { type: "button", data: { key: below.message.topic },
      on: { click: () => pick(below.message.topic) } }, shown);
    if (below.children.size === 0) return h("li", {}, own);
    return h("li", {}, h("details", { open: depth < 2 || items.length === 1 },
      h("summary", {}, `${shown} `, h("span", { class: "quiet" }, count(below.topics))),
      own && h("ul", {}, h("li", {}, own)), branches(below, depth + 1, pick)));
  }));
}

/** Counts a topic's messages for as long as it is looked at. */
function watch(topic, shown, signal) {
  const came = [];
  const show = () => {
    const since = performance.now() - WINDOW_S * 1000;
    while (came.length > 0 && came[0] < since) came.shift();
    shown.textContent = `${rate(came.length / WINDOW_S)} messages a second, over the last ${WINDOW_S} seconds`;
  };
  const timer = setInterval(show, 1000);
  signal.addEventListener("abort", () => clearInterval(timer));
  const event = (name, step) => name === "step" && step.event === "received" && step.topic === topic && came.push(performance.now());
  follow("trace", { query: { topic }, signal, event, begun: show }).catch((problem) => {
    clearInterval(timer);
    if (!signal.aborted) shown.textContent = problem.message;
  });
}

async function one(topic, side, signal, gone) {
  const found = await read("retained", { filter: topic, payload: true, limit: 1 }, signal);
  const message = found.items.find((item) => item.topic === topic);
  if (!message) return refill(side, empty("This topic retains nothing any longer."));
  const speed = h("span", { class: "quiet" }, "not watched");
  const watching = h("button", { type: "button", class: "small", on: { click: () => {
    watching.remove();
    watch(topic, speed, signal);
  } } }, "Watch");
  const remove = h("button", { type: "button", class: "grave small", on: { click: async () => {
    const done = await steer({ title: "Delete the retained message?", action: "Delete",
      text: `New subscribers of ${topic} will not get it any longer.` },
    () => ask("DELETE", "retained", { query: { topic } }), "The retained message was deleted.");
    if (done) gone();
  } } }, "Delete retained");
  refill(side,
    h("div", { class: "head" }, h("h2", { class: "mono" }, topic), maySteer() && remove),
    facts([["QoS", String(message.qos)], ["Size", bytes(message.payload_bytes)], ["Content type", message.content_type],
      ["Expires", message.expires_at_ms && moment(message.expires_at_ms)],
      ["User properties", message.properties?.map(([name, value]) => `${name}=${value}`).join(", ")],
      ["Rate", h("span", {}, speed, " ", watching)]]),
    payloadOf(message),
    h("p", {}, h("a", { href: link("subscriptions", [], { topic }) }, "Who would get this topic?"), " · ",
      h("a", { href: link("trace", [], { topic }) }, "Trace this topic")));
}

export function open(place, signal) {
  const filter = h("input", { type: "text", value: place.query.get("filter") ?? "#", autocomplete: "off", spellcheck: "false" });
  const tree = h("div", { class: "tree" });
  const more = h("button", { type: "button", class: "small", hidden: true }, "Load more");
  const loaded = h("span", { class: "quiet" });
  const side = h("div", {}, empty("Choose a topic to see what it retains."));
  const trouble = h("div");
  let messages = [];
  let cursor;
  let looking = new AbortController();
  signal.addEventListener("abort", () => looking.abort());
  const attempt = async (work) => {
    try {
      await work();
      refill(trouble);
    } catch (problem) {
      if (!signal.aborted && problem.name !== "AbortError") refill(trouble, told(problem));
    }
  };
  const pick = (topic) => {
    looking.abort();
    looking = new AbortController();
    for (const button of tree.querySelectorAll("button")) button.setAttribute("aria-current", String(button.dataset.key === topic));
    keep("topics", [], { filter: filter.value, topic });
    attempt(() => one(topic, side, looking.signal, load));
  };
  const next = () => attempt(async () => {
    const page = await read("retained", { filter: filter.value, cursor, limit: PAGE }, signal);
    messages = [...messages, ...page.items];
    cursor = page.next;
    more.hidden = cursor === undefined;
    loaded.textContent = `${count(messages.length)} topics${cursor === undefined ? "" : " so far"}`;
    refill(tree, messages.length === 0 ? empty("Nothing is retained below this filter.") : branches(grow(messages), 0, pick));
  });
  const load = () => {
    messages = [];
    cursor = undefined;
    refill(side, empty("Choose a topic to see what it retains."));
    return next();
  };
  more.addEventListener("click", next);
  const submit = (event) => {
    event.preventDefault();
    keep("topics", [], { filter: filter.value });
    load();
  };
  load().then(() => place.query.get("topic") && !signal.aborted && pick(place.query.get("topic")));
  const body = h("div", {},
    h("h1", { tabindex: "-1" }, "Topics"),
    h("p", { class: "lead" }, "Topics with a retained message. Those that begin with $ have to be asked for, as in $SYS/#."),
    h("div", { class: "panel" }, h("form", { class: "bar", on: { submit } },
      field("Topic filter", filter), h("button", { type: "submit" }, "Show"))),
    trouble,
    h("div", { class: "sides" },
      panel(undefined, tree, h("div", { class: "more" }, loaded, more)),
      h("section", { class: "panel", "aria-live": "polite", "aria-label": "Chosen topic" }, side)));
  return { title: "Topics", body };
}
