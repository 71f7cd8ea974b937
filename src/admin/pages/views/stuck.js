// The oldest exchanges that have not come to their end, across all sessions.
import { h, choice, field, refill, tag, told } from "../parts/element.js";
import { every } from "../parts/clock.js";
import { keep, link } from "../parts/place.js";
import { table } from "../parts/table.js";
import { read } from "../parts/api.js";
import { WAITS, age, bytes, count, moment } from "../parts/wording.js";
import { presence } from "./clients.js";

const REFRESH_MS = 3000;
const SHOWN = 100;
/** Parts of 1000 sessions looked at in one go. */
const PARTS_MAX = 20;

const COLUMNS = [
  ["For", (row) => {
    if (row.since_ms !== undefined) return h("b", { title: moment(row.since_ms) }, age(row.since_ms));
    return h("b", {}, row.awaited === "pubrel" ? "not known" : "since before the start");
  }, "still"],
  ["Waits for", (row) => {
    const [text, meaning, kind] = WAITS[`awaiting_${row.awaited}`];
    return h("span", { title: meaning }, tag(text.replace("awaiting ", ""), kind));
  }, "still"],
  ["Client", (row) => h("a", { href: link("clients", [row.client_id]), data: { key: `${row.client_id} ${row.position} ${row.packet_id}` } }, row.client_id), "name"],
  ["State", (row) => presence({ ...row, durable: true }), "still"],
  ["Topic", (row) => row.message?.topic
    ?? h("span", { class: "quiet" }, row.awaited === "pubrel" ? "from this client" : "the client has it; no longer kept"), "name"],
  ["QoS", (row) => String(row.message?.qos ?? 2), "number"],
  ["Resent", (row) => (row.awaited === "pubrel" ? "" : count(row.resent)), "number"],
  ["Packet id", (row) => String(row.packet_id), "number"],
  ["Payload", (row) => (row.message ? bytes(row.message.payload_bytes) : ""), "number"],
];

function order(a, b) {
  const key = (row) => row.since_ms ?? (row.awaited === "pubrel" ? Number.MAX_SAFE_INTEGER : 0);
  return key(a) - key(b);
}

/** Looks at all sessions, part by part, and keeps the oldest. */
async function look(older_ms, signal) {
  let [items, cursor, unanswered, is_whole] = [[], undefined, 0, false];
  for (let part = 0; part < PARTS_MAX && !is_whole; part += 1) {
    const found = await read("handshakes", { older_ms, cursor, limit: SHOWN }, signal);
    items = [...items, ...found.items].sort(order).slice(0, SHOWN);
    unanswered += found.unanswered;
    cursor = found.next;
    is_whole = cursor === undefined;
  }
  return { items, unanswered, is_whole };
}

export function open(place, signal) {
  const least = choice([["0", "any time"], ["5000", "5 seconds"], ["60000", "1 minute"], ["600000", "10 minutes"], ["3600000", "1 hour"]],
    place.query.get("older_ms") ?? "5000");
  const list = table({ caption: "Exchanges under way, the oldest first", columns: COLUMNS,
    none: "Nothing is stuck: no exchange has been under way for so long." });
  const trouble = h("div");
  const refresh = async () => {
    try {
      const { items, unanswered, is_whole } = await look(least.value, signal);
      list.show(items);
      const missing = [unanswered > 0 && `${count(unanswered)} sessions were too busy to answer.`,
        !is_whole && `Only the first ${count(PARTS_MAX * 1000)} sessions were looked at.`].filter(Boolean).join(" ");
      refill(trouble, missing && h("p", { class: "told" }, missing));
    } catch (problem) {
      if (!signal.aborted) refill(trouble, told(problem));
    }
  };
  least.addEventListener("change", () => {
    keep("stuck", [], { older_ms: least.value });
    refresh();
  });
  every(REFRESH_MS, signal, refresh);
  const body = h("div", {},
    h("h1", { tabindex: "-1" }, "Stuck deliveries"),
    h("p", { class: "lead" }, "QoS 1 and 2 exchanges that have begun and not ended, the oldest first. ",
      "Where one stands still, the client named there owes the packet it waits for."),
    h("div", { class: "panel" }, h("div", { class: "bar" }, field("Under way for at least", least, "narrow"))),
    trouble,
    h("div", { class: "panel" }, list.box));
  return { title: "Stuck deliveries", body };
}
