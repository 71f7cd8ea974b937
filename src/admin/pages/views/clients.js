// Clients and sessions: finding one among many. One of them, chosen, is views/session.js.
import { h, choice, field, refill, state, told } from "../parts/element.js";
import { every } from "../parts/clock.js";
import { keep, link } from "../parts/place.js";
import { pager, table } from "../parts/table.js";
import { read } from "../parts/api.js";
import { age, bytes, count } from "../parts/wording.js";
import * as session from "./session.js";

const REFRESH_MS = 3000;
const TYPING_MS = 250;
const ROWS = 50;

export function presence(summary) {
  if (summary.connected) return state("good", "connected");
  return state("hollow", summary.durable ? "away" : "ended");
}

const COLUMNS = [
  ["Client", (row) => h("a", { href: link("clients", [row.client_id]), data: { key: row.client_id } }, row.client_id), "name"],
  ["State", (row) => presence(row), "still"],
  ["For", (row) => {
    const since = row.connected ? row.connected_at_ms : row.disconnected_at_ms;
    return since === undefined ? "since before the start" : age(since);
  }, "still"],
  ["MQTT", (row) => row.version],
  ["User", (row) => row.user],
  ["Address", (row) => row.address],
  ["Queued", (row) => count(row.queued_messages), "number"],
  ["Bytes", (row) => bytes(row.queued_bytes), "number"],
  ["Exchanges", (row) => count(row.handshakes), "number"],
];

export function open(place, signal) {
  if (place.rest.length > 0) return session.open(place, signal);
  const contains = h("input", { type: "search", value: place.query.get("contains") ?? "", autocomplete: "off", spellcheck: "false" });
  const which = choice([["", "All"], ["connected", "Connected"], ["away", "Away"]], place.query.get("state") ?? "");
  const sort = choice([["client_id", "Client identifier"], ["backlog", "Longest queue"]], place.query.get("sort") ?? "client_id");
  const trouble = h("div");
  const list = table({ caption: "Sessions", columns: COLUMNS, none: "No session is like that." });
  const asked = () => ({ contains: contains.value, state: which.value, sort: sort.value });
  const pages = pager((cursor) => read("sessions", { ...asked(), cursor, limit: ROWS }, signal), list.show, (work) => attempt(work));
  const attempt = async (work) => {
    try {
      await work();
      refill(trouble);
    } catch (problem) {
      if (!signal.aborted) refill(trouble, told(problem));
    }
  };
  let typing;
  const restart = () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      // Another page is shown by now.
      if (signal.aborted) return;
      keep("clients", [], asked());
      attempt(pages.restart);
    }, TYPING_MS);
  };
  contains.addEventListener("input", restart);
  which.addEventListener("change", restart);
  sort.addEventListener("change", restart);
  every(REFRESH_MS, signal, () => attempt(pages.refresh));
  const body = h("div", {},
    h("h1", { tabindex: "-1" }, "Clients & sessions"),
    h("p", { class: "lead" }, "Whoever is connected, and every session that waits for its client."),
    h("div", { class: "panel" },
      h("form", { class: "bar", role: "search", on: { submit: (event) => event.preventDefault() } },
        field("Client identifier contains", contains), field("State", which, "narrow"), field("Sorted by", sort, "narrow"))),
    trouble,
    h("div", { class: "panel" }, list.box, pages.bar));
  return { title: "Clients & sessions", body };
}
