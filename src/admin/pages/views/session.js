// One session: who the client is, and where each of its messages stands.
import { h, facts, panel, refill, tag, told } from "../parts/element.js";
import { every } from "../parts/clock.js";
import { link } from "../parts/place.js";
import { pager, table } from "../parts/table.js";
import { ask, named, read } from "../parts/api.js";
import { maySteer } from "../parts/operator.js";
import { steer } from "../parts/notice.js";
import { WAITS, age, bytes, count, moment, span } from "../parts/wording.js";
import { presence } from "./clients.js";

const REFRESH_MS = 2000;
const DELIVERIES = 100;
const FOR_EVER = 4294967295;

const DELIVERY_COLUMNS = [
  ["State", (row) => tag(WAITS[row.state][0], WAITS[row.state][2]), "still"],
  ["Since", (row) => {
    if (row.since_ms !== undefined) return h("span", { title: moment(row.since_ms) }, age(row.since_ms));
    return row.state === "queued" ? "" : "before the broker’s start";
  }, "still"],
  ["Resent", (row) => (row.state === "queued" ? "" : count(row.resent)), "number"],
  ["Packet id", (row) => (row.packet_id === undefined ? "" : String(row.packet_id)), "number"],
  ["QoS", (row) => (row.message ? String(row.message.qos) : "2"), "number"],
  ["Topic", (row) => row.message?.topic ?? h("span", { class: "quiet" }, "the client has it; no longer kept"), "name"],
  ["Payload", (row) => (row.message ? bytes(row.message.payload_bytes) : ""), "number"],
  ["By", (row) => row.share ?? "", ""],
  ["Position", (row) => String(row.position), "number"],
];

const SUBSCRIPTION_COLUMNS = [
  ["Topic filter", (row) => h("code", {}, row.filter), "name"],
  ["QoS", (row) => String(row.qos), "number"],
  ["Options", (row) => [row.no_local && "no local", row.retain_as_published && "retain as published",
    row.retain_handling === 1 && "retained if new", row.retain_handling === 2 && "no retained",
    row.id !== undefined && `identifier ${row.id}`].filter(Boolean).join(", ")],
];

function expiry(seconds) {
  if (seconds === FOR_EVER) return "never";
  return seconds === 0 ? "with its connection" : `${span(seconds * 1000)} after it left`;
}

function about(detail) {
  const traffic = (counts) => counts && counts.map((value, qos) => `QoS ${qos}: ${count(value)}`).join(", ");
  return facts([
    ["State", presence(detail)],
    ["For", age((detail.connected ? detail.connected_at_ms : detail.disconnected_at_ms) ?? Number.NaN).replace("NaN s", "")],
    ["MQTT", detail.version],
    ["User", detail.user],
    ["Address", detail.address],
    ["Listener", detail.listener],
    ["Keep alive", detail.keep_alive_s === undefined ? undefined : `${detail.keep_alive_s} s`],
    ["Session ends", expiry(detail.session_expiry_s)],
    ["Ends at", detail.expires_at_ms && moment(detail.expires_at_ms)],
    ["Will", detail.has_will ? (detail.will_at_ms ? `due at ${moment(detail.will_at_ms)}` : "yes") : "none"],
    ["Came in", traffic(detail.received)],
    ["Went out", traffic(detail.sent)],
  ]);
}

/** The way of a message, told by numbers; where its deliveries fill more than a page, the states are those of the page. */
function progress(detail, is_whole) {
  const states = Object.keys(WAITS).filter((state) => state !== "awaiting_pubrel");
  const by = Object.fromEntries(states.map((state) => [state, 0]));
  for (const delivery of detail.deliveries) by[delivery.state] += 1;
  const window = detail.in_flight_max === undefined ? "" : ` of ${count(detail.in_flight_max)}`;
  return facts([
    ["Not finished", `${count(detail.queued_messages)}, ${bytes(detail.queued_bytes)}`],
    ["In flight", `${count(detail.in_flight)}${window}`],
    ...states.map((state) => [`${WAITS[state][0]}${is_whole ? "" : ", of those below"}`, count(by[state])]),
    ["awaiting PUBREL", detail.awaiting_pubrel.length === 0 ? "0" : `${detail.awaiting_pubrel.length}: packet id ${detail.awaiting_pubrel.join(", ")}`],
    ["Answers waiting for the disk", count(detail.held_responses)],
  ]);
}

export function open(place, signal) {
  const name = place.rest[0];
  const heading = h("h1", { tabindex: "-1" }, name);
  const [who, way, trouble, total] = [h("div"), h("div"), h("div"), h("p", { class: "quiet", hidden: true })];
  const deliveries = table({ caption: "Deliveries not finished", columns: DELIVERY_COLUMNS, none: "Nothing is under way or queued." });
  const subscriptions = table({ caption: "Subscriptions", columns: SUBSCRIPTION_COLUMNS, none: "It subscribes to nothing." });
  const path = `sessions/${named(name)}`;
  const load = async (from) => {
    const detail = await read(path, { from, limit: DELIVERIES }, signal);
    return { items: detail.deliveries, next: detail.next, detail, is_whole: from === undefined && detail.next === undefined };
  };
  const show = (items, { detail, is_whole }) => {
    held.hidden = false;
    refill(who, about(detail));
    refill(way, progress(detail, is_whole));
    deliveries.show(items);
    subscriptions.show(detail.subscriptions);
    total.hidden = is_whole;
    total.textContent = `${count(detail.queued_messages)} in all; a page shows up to ${DELIVERIES}.`;
    kick.disabled = !detail.connected;
  };
  const pages = pager(load, show, (work) => attempt(work));
  const attempt = async (work) => {
    try {
      await work();
      refill(trouble);
    } catch (problem) {
      if (signal.aborted) return;
      refill(trouble, told(problem));
      if (problem.status === 404) held.hidden = true;
    }
  };
  const kick = h("button", { type: "button", disabled: true, on: { click: () => steer(
    { title: "End the connection?", action: "Disconnect",
      text: `${name} is told so (0x98, Administrative action). Its session and queue stay; it may come back.` },
    () => ask("DELETE", `clients/${named(name)}`), "The connection was ended.").then(() => again()) } }, "Disconnect");
  const remove = h("button", { type: "button", class: "grave", on: { click: async () => {
    const done = await steer(
      { title: "Delete the session?", action: "Delete session",
        text: `${name} loses its subscriptions and every message queued for it. This cannot be taken back.` },
      () => ask("DELETE", path), "The session was deleted.");
    if (done) location.hash = link("clients");
  } } }, "Delete session");
  const held = h("div", {},
    panel("Client", who),
    panel("Where its messages stand", way),
    panel("Deliveries not finished, in order", total, deliveries.box, pages.bar),
    panel("Subscriptions", subscriptions.box));
  const again = every(REFRESH_MS, signal, () => attempt(pages.refresh));
  const body = h("div", {},
    h("p", {}, h("a", { href: link("clients") }, "← Clients & sessions")),
    h("div", { class: "head" }, heading,
      h("div", { class: "bar" }, h("a", { class: "button", href: link("trace", [], { client_id: name }) }, "Trace this client"),
        maySteer() && kick, maySteer() && remove)),
    trouble, held);
  return { title: name, body };
}
