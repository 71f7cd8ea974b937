// What was not taken, not delivered or not let in, and why.
import { h, panel, refill, told } from "../parts/element.js";
import { chart } from "../parts/chart.js";
import { every } from "../parts/clock.js";
import { listen, samples } from "../parts/pulse.js";
import { table } from "../parts/table.js";
import { read } from "../parts/api.js";
import { count, rate } from "../parts/wording.js";

const REFRESH_MS = 2000;

const GROUPS = [
  ["publish/dropped/", "Deliveries dropped", "A receiver does not get a message that the broker took."],
  ["publish/refused/", "Publishes refused", "A publisher was told that its message is not taken; it may send it again."],
  ["connections/refused/", "Connections refused", "Nobody was let in."],
  ["connections/closed/", "Connections closed by the broker", "A client was sent away."],
];

const MEANS = {
  "publish/dropped/aged": "it waited longer than queue.age_s_max",
  "publish/dropped/expired": "its Message Expiry Interval was over",
  "publish/dropped/filter_full": "the limit of its [[queue.filter]] was reached",
  "publish/dropped/forbidden": "an access rule keeps it from this client",
  "publish/dropped/mailbox_full": "the connection is slower than what comes for it (QoS 0)",
  "publish/dropped/queue_full": "the session’s queue was full, and queue.on_full drops",
  "publish/dropped/too_large": "it is larger than the client takes",
  "publish/refused/disk_full": "the disk is full; free some space",
  "publish/refused/queue_full": "a receiver's queue was full, and queue.on_full refuses",
  "publish/refused/record_too_large": "it is larger than the store takes",
  "publish/refused/too_many_targets": "it is for more sessions than one message may be",
  "connections/refused/address_rate": "the address connects too often",
  "connections/refused/banned": "it is banned",
  "connections/refused/client_rate": "the client connects too often",
  "connections/refused/connect": "its CONNECT was refused: credentials, identifier or protocol",
  "connections/refused/connect_timeout": "no CONNECT came in time",
  "connections/refused/connections_max": "limits.connections_max was reached",
  "connections/refused/connections_per_address_max": "limits.connections_per_address_max was reached",
  "connections/refused/handshake_timeout": "TLS or WebSocket was not agreed on in time",
  "connections/refused/listener_connections_max": "the listener’s connections_max was reached",
  "connections/refused/memory": "memory is full",
  "connections/refused/proxy": "no PROXY header that is believed",
  "connections/refused/session_owner": "the session belongs to another user",
  "connections/refused/tls": "the TLS handshake failed",
  "connections/refused/tls_handshakes_max": "limits.tls_handshakes_max was reached",
  "connections/refused/websocket": "the WebSocket handshake failed",
  "connections/closed/keep_alive": "nothing came for one and a half times its keep alive",
  "connections/closed/violation": "it broke the protocol",
  "connections/closed/write_stall": "it did not take what was written to it",
};

const COLUMNS = [
  ["Reason", (row) => h("code", {}, row.reason), "name"],
  ["Means", (row) => MEANS[row.name] ?? "", "name"],
  ["Now", (row) => (row.per_s === undefined ? "" : `${rate(row.per_s)}/s`), "number"],
  ["Since the start", (row) => count(row.value), "number"],
];

export function open(_place, signal) {
  const line = chart({ title: "Deliveries dropped a second", wording: rate, least: 4, signal, series: [["dropped", "deliveries_dropped_per_s"]] });
  const groups = GROUPS.map(([prefix, title, meaning]) => {
    const list = table({ caption: title, columns: COLUMNS, none: "None since the start." });
    return { prefix, list, box: panel(title, h("p", { class: "quiet" }, meaning), list.box) };
  });
  const trouble = h("div");
  let before;
  const show = (counters) => {
    const at = performance.now();
    for (const { prefix, list } of groups) {
      const rows = Object.entries(counters).filter(([name, value]) => name.startsWith(prefix) && value > 0).map(([name, value]) => ({
        name, value, reason: name.slice(prefix.length),
        per_s: before && (value - (before.counters[name] ?? 0)) / ((at - before.at) / 1000),
      }));
      list.show(rows.sort((a, b) => b.value - a.value));
    }
    before = { at, counters };
  };
  listen((sample) => sample && line.show(samples), signal);
  every(REFRESH_MS, signal, async () => {
    try {
      show((await read("status", {}, signal)).counters);
      refill(trouble);
    } catch (problem) {
      if (!signal.aborted) refill(trouble, told(problem));
    }
  });
  const body = h("div", {},
    h("h1", { tabindex: "-1" }, "Drops"),
    h("p", { class: "lead" }, "Nothing is lost without a count: every message, connection or delivery that was given up, by reason."),
    trouble,
    h("section", { class: "panel" }, line.figure),
    ...groups.map(({ box }) => box));
  return { title: "Drops", body };
}
