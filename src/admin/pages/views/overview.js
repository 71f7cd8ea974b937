// How the broker is, at a glance.
import { h, facts, panel, refill, state, empty } from "../parts/element.js";
import { chart } from "../parts/chart.js";
import { every } from "../parts/clock.js";
import { link } from "../parts/place.js";
import { read } from "../parts/api.js";
import { listen, samples } from "../parts/pulse.js";
import { bytes, count, micros, moment, rate, span } from "../parts/wording.js";

const STATUS_MS = 3000;

const HINDRANCES = {
  recovering: "it is reading its data",
  stopping: "it is ending",
  draining: "it is being drained: nobody is let in",
  disk_full: "the disk is full: new messages are refused",
  memory_full: "memory is full: new clients are refused",
  not_committing: "something has waited for the disk for more than ten seconds",
};

function tile(name, target) {
  const value = h("span", { class: "value" }, "–");
  const note = h("span", { class: "note" });
  const box = h(target ? "a" : "div", { class: "tile", href: target }, h("span", { class: "name" }, name), value, note);
  const show = (text, beside = "") => {
    value.textContent = text;
    note.textContent = beside;
  };
  return { box, show };
}

export function open(_place, signal) {
  const tiles = {
    connections: tile("Connections", link("clients", [], { state: "connected" })),
    sessions: tile("Sessions", link("clients")),
    received: tile("Publishes in"),
    sent: tile("Deliveries out"),
    queue: tile("Queued deliveries", link("clients", [], { sort: "backlog" })),
    handshakes: tile("Exchanges under way", link("stuck")),
    commit: tile("Commit to disk"),
    dropped: tile("Dropped", link("drops")),
  };
  const health = h("div");
  const about = h("div");
  const reasons = h("div");
  const charts = [
    chart({ title: "Messages a second", wording: rate, least: 4, signal,
      series: [["in", "publishes_received_per_s"], ["out", "deliveries_sent_per_s"]] }),
    chart({ title: "From publish to delivery", wording: micros, least: 1000, signal,
      series: [["half", "delivery_us_p50"], ["99 of 100", "delivery_us_p99"]] }),
    chart({ title: "Commit to disk", wording: micros, least: 1000, signal,
      series: [["half", "commit_us_p50"], ["99 of 100", "commit_us_p99"]] }),
    chart({ title: "Bytes a second", wording: bytes, least: 1024, signal,
      series: [["in", "bytes_received_per_s"], ["out", "bytes_sent_per_s"]] }),
    chart({ title: "Connections and sessions", wording: count, least: 4, signal,
      series: [["connections", "connections"], ["sessions", "sessions"]] }),
    chart({ title: "Queued deliveries", wording: count, least: 4, signal,
      series: [["queued", "queued_messages"], ["under way", "handshakes"]] }),
  ];
  let sinceStart;
  const showSample = (sample) => {
    if (sample === null) return;
    tiles.connections.show(count(sample.connections));
    tiles.sessions.show(count(sample.sessions));
    tiles.received.show(`${rate(sample.publishes_received_per_s)}/s`, `${bytes(sample.bytes_received_per_s)}/s`);
    tiles.sent.show(`${rate(sample.deliveries_sent_per_s)}/s`, `${bytes(sample.bytes_sent_per_s)}/s`);
    tiles.queue.show(count(sample.queued_messages), bytes(sample.queued_bytes));
    tiles.handshakes.show(count(sample.handshakes), "both ways");
    const recent = samples.findLast((past) => past.commit_us_p99 !== undefined)?.commit_us_p99;
    tiles.commit.show(micros(recent ?? sinceStart), `99 of 100 are faster; ${rate(sample.commits_per_s)}/s`);
    for (const { show } of charts) show(samples);
  };
  const showStatus = (status) => {
    sinceStart = status.commit_us_p99;
    tiles.dropped.show(count(status.deliveries_dropped), "since the start");
    const why = status.reasons.map((reason) => HINDRANCES[reason] ?? reason).join("; ");
    const kind = status.ready ? "good" : "warn";
    refill(health, state(kind, status.ready ? "Alive and ready for clients" : `Alive, not ready: ${why}`));
    refill(about, facts([
      ["Version", status.version],
      ["Up for", `${span(status.uptime_s * 1000)}, since ${moment(status.started_at_ms)}`],
      ["An acknowledgement means", status.durability === "fsync" ? "on disk" : "in memory"],
      ["Subscriptions", `${count(status.subscriptions)}, shared groups ${count(status.shared_groups)}`],
      ["Retained messages", `${count(status.retained_messages)}, ${bytes(status.retained_bytes)}`],
      ["Main memory", status.resident_bytes && bytes(status.resident_bytes)],
      ["Free on disk", status.disk_free_bytes && bytes(status.disk_free_bytes)],
      ["Connections by listener",
        Object.entries(status.connections_by_listener).map(([name, value]) => `${name}: ${count(value)}`).join(", ")],
    ]));
    const drops = Object.entries(status.counters)
      .filter(([name, value]) => name.startsWith("publish/dropped/") && value > 0)
      .sort(([, a], [, b]) => b - a);
    refill(reasons, drops.length === 0
      ? empty("Nothing was dropped since the start.")
      : facts(drops.map(([name, value]) => [name.slice(16).replaceAll("_", " "), count(value)])));
  };
  listen(showSample, signal);
  if (samples.length > 0) queueMicrotask(() => showSample(samples.at(-1)));
  every(STATUS_MS, signal, async () => {
    try {
      showStatus(await read("status", {}, signal));
    } catch (problem) {
      if (!signal.aborted) refill(health, state("bad", problem.message));
    }
  });
  const body = h("div", {},
    h("div", { class: "head" }, h("h1", { tabindex: "-1" }, "Overview"), health),
    h("div", { class: "tiles" }, ...Object.values(tiles).map(({ box }) => box)),
    h("div", { class: "charts" }, ...charts.map(({ figure }) => h("section", { class: "panel" }, figure))),
    panel("This broker", about),
    panel("Deliveries dropped, by reason", reasons));
  return { title: "Overview", body };
}
