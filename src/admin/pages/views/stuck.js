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
/** Sessions that the broker looks at for one answer, and answers asked for unless all sessions are wanted. */
const PART_SESSIONS = 1000;
const PARTS = 20;

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

/** Looks at sessions part by part, as long as `goesOn`, and keeps the oldest exchanges and one more than are shown. */
async function look(older_ms, signal, goesOn) {
  let [items, cursor, unanswered, parts, is_whole] = [[], undefined, 0, 0, false];
  do {
    const found = await read("handshakes", { older_ms, cursor, limit: SHOWN + 1 }, signal);
    items = [...items, ...found.items].sort(order).slice(0, SHOWN + 1);
    unanswered += found.unanswered;
    cursor = found.next;
    parts += 1;
    is_whole = cursor === undefined;
  } while (!is_whole && goesOn(parts));
  return { items, unanswered, sessions: parts * PART_SESSIONS, is_whole };
}

/** What the list leaves out. */
function missing({ items, unanswered, sessions, is_whole }) {
  return [
    unanswered > 0 && `${count(unanswered)} sessions were too busy to answer.`,
    !is_whole && `Only the first ${count(sessions)} sessions were looked at, by client identifier; there are more, and older exchanges may be among them.`,
    items.length > SHOWN && `The ${SHOWN} oldest are shown; there are more.`,
  ].filter(Boolean).join(" ");
}

export function open(place, signal) {
  const least = choice([["0", "any time"], ["5000", "5 seconds"], ["60000", "1 minute"], ["600000", "10 minutes"], ["3600000", "1 hour"]],
    place.query.get("older_ms") ?? "5000");
  const list = table({ caption: "Exchanges under way, the oldest first", columns: COLUMNS,
    none: "Nothing is stuck: no exchange has been under way for so long." });
  const trouble = h("div");
  const progress = h("p", { class: "quiet", hidden: true });
  let wants_all = place.query.get("all") === "true";
  const asked = () => ({ older_ms: least.value, all: wants_all ? "true" : "" });
  const refresh = async () => {
    const older_ms = least.value;
    try {
      const found = await look(older_ms, signal, (parts) => {
        progress.hidden = parts < PARTS;
        progress.textContent = `Looking at all sessions: ${count(parts * PART_SESSIONS)} so far …`;
        // What is looked for may have changed meanwhile; then this look is of no use.
        return (wants_all || parts < PARTS) && least.value === older_ms;
      });
      if (least.value !== older_ms) return;
      list.show(found.items.slice(0, SHOWN));
      const words = missing(found);
      refill(trouble, words && h("div", { class: "told" }, words, !found.is_whole && h("p", { class: "under" }, lookAtAll)));
    } catch (problem) {
      if (!signal.aborted) refill(trouble, told(problem));
    } finally {
      progress.hidden = true;
    }
  };
  const again = every(REFRESH_MS, signal, refresh);
  const turn = () => {
    keep("stuck", [], asked());
    again();
  };
  const lookAtAll = h("button", { type: "button", data: { key: "all" }, on: { click: () => {
    wants_all = true;
    turn();
  } } }, "Look at all sessions");
  least.addEventListener("change", turn);
  const body = h("div", {},
    h("h1", { tabindex: "-1" }, "Stuck deliveries"),
    h("p", { class: "lead" }, "QoS 1 and 2 exchanges that have begun and not ended, the oldest first. ",
      "Where one stands still, the client named there owes the packet it waits for."),
    h("div", { class: "panel" }, h("div", { class: "bar" }, field("Under way for at least", least, "narrow"))),
    trouble, progress,
    h("div", { class: "panel" }, list.box));
  return { title: "Stuck deliveries", body };
}
