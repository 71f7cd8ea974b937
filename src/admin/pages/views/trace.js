// Following messages step by step while they go through the broker.
import { h, choice, field, refill, tag, tick, told, empty } from "../parts/element.js";
import { keep, link } from "../parts/place.js";
import { follow } from "../parts/api.js";
import { table } from "../parts/table.js";
import { payloadOf } from "../parts/payload.js";
import { count, moment } from "../parts/wording.js";

const STEPS_MAX = 500;
const KINDS = [["client_id", "Client"], ["topic", "Topic filter"], ["property", "User property (name=value)"],
  ["correlation", "Correlation data"]];
const GRAVE = { refused: "bad", dropped: "bad", acknowledged: "good", stored: "good", disconnected: "warn" };

function when(step) {
  return h("span", { title: moment(step.at_ms), class: "mono" }, `+${(step.at_us / 1e6).toFixed(6)} s`);
}

function detail(step) {
  const parts = [step.packet, step.packet_id !== undefined && `id ${step.packet_id}`, step.qos !== undefined && `QoS ${step.qos}`,
    step.dup && "sent again", step.retain && "retained", step.durable && "waits for the disk",
    step.position !== undefined && `position ${step.position}`, step.reason].filter(Boolean);
  return parts.join(", ");
}

const hasPayload = (step) => step.payload_text !== undefined || step.payload_base64 !== undefined;

export function open(place, signal) {
  const kept = KINDS.find(([name]) => place.query.has(name))?.[0] ?? "topic";
  const kind = choice(KINDS, kept);
  const wanted = h("input", { type: "text", required: true, value: place.query.get(kept) ?? "", autocomplete: "off", spellcheck: "false" });
  const withPayloads = h("input", { type: "checkbox" });
  const begin = h("button", { type: "submit", class: "main" }, "Follow");
  const stop = h("button", { type: "button", disabled: true }, "Stop");
  const clear = h("button", { type: "button" }, "Clear");
  const trouble = h("div");
  const status = h("p", { class: "quiet", role: "status" });
  const only = h("div");
  let [steps, lost, message, following, drawing] = [[], 0, undefined, undefined, false];
  const opened = new Set();
  const columns = [
    ["At", when, "still"],
    ["Step", (step) => tag(step.event, GRAVE[step.event]), "still"],
    ["Client", (step) => h("a", { href: link("clients", [step.client_id]) }, step.client_id), "name"],
    ["Topic", (step) => step.topic ?? "", "name"],
    ["Details", detail, "name"],
    ["Message", (step) => step.message && h("button", { type: "button", class: "plain small mono", title: "Follow this message only",
      data: { key: `${step.at_us} ${step.event}` }, on: { click: () => pick(step.message) } }, step.message.slice(0, 8)), "still"],
    ["Payload", (step) => hasPayload(step) && h("details", { on: { toggle: ({ currentTarget }) => {
      if (currentTarget.open) opened.add(step);
      else opened.delete(step);
    } } }, h("summary", {}, "show"), payloadOf(step))],
  ];
  const list = table({ caption: "Steps", columns, none: "Nothing has happened yet.", lasting: true });
  const draw = () => {
    drawing = false;
    const shown = message === undefined ? steps : steps.filter((step) => step.message === message);
    list.show(shown);
    const isOpen = following && !following.signal.aborted;
    const missed = lost > 0 ? `; ${count(lost)} more came too fast to be told` : "";
    status.textContent = `${isOpen ? "Following" : "Stopped"}: ${count(steps.length)} steps${missed}.`;
  };
  const soon = () => {
    if (drawing) return;
    drawing = true;
    setTimeout(draw, 150);
  };
  const pick = (chosen) => {
    message = chosen;
    refill(only, message && h("p", { class: "told good" }, "Only the message ", h("code", {}, message), ". ",
      h("button", { type: "button", class: "plain small", on: { click: () => pick(undefined) } }, "Show all")));
    draw();
  };
  const end = () => {
    following?.abort();
    begin.disabled = false;
    stop.disabled = true;
    soon();
  };
  const event = (name, data) => {
    if (name === "step") steps.push(data);
    if (name === "lost") lost += data.lost;
    // The oldest goes, but not one whose payload is being read.
    if (steps.length > STEPS_MAX) steps.splice(Math.max(0, steps.findIndex((step) => !opened.has(step))), 1);
    soon();
  };
  const start = async () => {
    end();
    [steps, lost] = [[], 0];
    opened.clear();
    pick(undefined);
    const own = new AbortController();
    following = own;
    signal.addEventListener("abort", () => own.abort());
    keep("trace", [], { [kind.value]: wanted.value });
    refill(trouble);
    stop.disabled = false;
    begin.disabled = true;
    try {
      const query = { [kind.value]: wanted.value, payload: withPayloads.checked };
      await follow("trace", { query, signal: own.signal, event, begun: soon });
      if (!own.signal.aborted) end();
    } catch (problem) {
      if (own.signal.aborted) return;
      end();
      refill(trouble, told(problem));
    }
  };
  stop.addEventListener("click", end);
  clear.addEventListener("click", () => {
    [steps, lost] = [[], 0];
    opened.clear();
    pick(undefined);
  });
  list.box.replaceChildren(empty("Say what to follow. Steps from then on are shown here."));
  if (wanted.value) start();
  const body = h("div", {},
    h("h1", { tabindex: "-1" }, "Trace"),
    h("p", { class: "lead" }, "Follows messages from now on, step by step. All steps of a message have the same mark: choose it to see that message alone."),
    h("div", { class: "panel" }, h("form", { class: "bar", on: { submit: (submitted) => {
      submitted.preventDefault();
      start();
    } } }, field("Follow by", kind), field("Which", wanted), tick("with payloads", withPayloads), begin, stop, clear)),
    trouble, only,
    h("div", { class: "panel" }, status, list.box));
  return { title: "Trace", body };
}
