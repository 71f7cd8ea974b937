// A client of one's own: publishes and subscribes over a WebSocket listener, by the same rules as every other client.
import { h, choice, facts, field, panel, refill, state, tick, told, empty } from "../parts/element.js";
import { read } from "../parts/api.js";
import { payload } from "../parts/payload.js";
import { count, moment } from "../parts/wording.js";

/** What is shown at most, the newest. */
const MESSAGES_MAX = 100;
const BYTES_MAX = 4 * 1024 * 1024;
const QOS = [["0", "0: at most once"], ["1", "1: at least once"], ["2", "2: exactly once"]];
const CONNECT_MS = 10_000;

/** Where the broker listens for WebSockets, as seen from this page. */
async function listenerAddress(signal) {
  const settings = await read("settings", {}, signal);
  const listeners = settings.find(({ key }) => key === "listener")?.value ?? [];
  const found = listeners.find((listener) => listener.websocket && listener.address);
  if (!found) return undefined;
  const port = found.address.slice(found.address.lastIndexOf(":") + 1);
  return `${found.tls ? "wss" : "ws"}://${location.hostname}:${port}${found.websocket_path ?? "/mqtt"}`;
}

function entry({ topic, packet, bytes, at }) {
  return h("div", { class: "panel slim" },
    facts([["Topic", h("code", {}, topic)], ["Came", moment(at)],
      ["QoS", `${packet.qos}${packet.retain ? ", retained" : ""}${packet.dup ? ", sent again" : ""}`]]),
    payload(bytes));
}

/** The newest messages. However fast they come, they are drawn once for each picture that the screen shows. */
function mailbox() {
  const list = h("div", { class: "messages" }, empty("Nothing has come yet."));
  const told = h("p", { class: "quiet", hidden: true });
  let [held, held_bytes, came, drawing] = [[], 0, 0, undefined];
  const draw = () => {
    drawing = undefined;
    const wanted = new Set(held.map((message) => message.shown));
    for (const shown of [...list.children]) {
      if (!wanted.has(shown)) shown.remove();
    }
    for (const message of held) {
      if (message.shown) continue;
      message.shown = entry(message);
      list.prepend(message.shown);
    }
    if (held.length === 0) list.replaceChildren(empty("Nothing has come yet."));
    told.hidden = came === held.length;
    told.textContent = `${count(came)} came; the newest ${count(held.length)} are shown.`;
  };
  const soon = () => {
    drawing ??= requestAnimationFrame(draw);
  };
  const take = (message) => {
    held.push(message);
    held_bytes += message.bytes.length;
    came += 1;
    // One is always shown, whatever its size.
    while (held.length > MESSAGES_MAX || (held_bytes > BYTES_MAX && held.length > 1)) held_bytes -= held.shift().bytes.length;
    soon();
  };
  const clear = () => {
    [held, held_bytes, came] = [[], 0, 0];
    soon();
  };
  return { list, told, take, clear };
}

export function open(_place, signal) {
  const url = h("input", { type: "text", inputmode: "url", required: true, spellcheck: "false", placeholder: "ws://broker.example.com:8083/mqtt" });
  const name = h("input", { type: "text", value: `dashboard-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`, spellcheck: "false" });
  const user = h("input", { type: "text", autocomplete: "off" });
  const password = h("input", { type: "password", autocomplete: "off" });
  const connect = h("button", { type: "submit", class: "main" }, "Connect");
  const leave = h("button", { type: "button", disabled: true }, "Disconnect");
  const status = h("span", { role: "status" }, state("", "not connected"));
  const trouble = h("div");
  const filter = h("input", { type: "text", required: true, value: "#", spellcheck: "false" });
  const subscribeQos = choice(QOS, "1");
  const subscribe = h("button", { type: "submit", disabled: true }, "Subscribe");
  const topic = h("input", { type: "text", required: true, spellcheck: "false" });
  const publishQos = choice(QOS, "1");
  const retain = h("input", { type: "checkbox" });
  const text = h("textarea", { rows: 4, spellcheck: "false" });
  const publish = h("button", { type: "submit", class: "main", disabled: true }, "Publish");
  const done = h("p", { class: "quiet", role: "status" });
  const filters = h("p", { class: "quiet under" }, "Subscribed to nothing.");
  const messages = mailbox();
  const clear = h("button", { type: "button", class: "small", on: { click: messages.clear } }, "Clear");
  const subscribed = new Map();
  let client;

  const show = (kind, words) => {
    const isOpen = kind === "good";
    refill(status, state(kind, words));
    connect.disabled = isOpen;
    leave.disabled = !isOpen;
    subscribe.disabled = !isOpen;
    publish.disabled = !isOpen;
  };
  const came = (from, bytes, packet) => messages.take({ topic: from, packet, bytes: new Uint8Array(bytes), at: Date.now() });
  const hangUp = () => {
    client?.end(true);
    client = undefined;
    subscribed.clear();
    filters.textContent = "Subscribed to nothing.";
    show("", "not connected");
  };
  const attempt = (work) => async (event) => {
    event.preventDefault();
    refill(trouble);
    try {
      await work();
    } catch (problem) {
      refill(trouble, told(problem));
    }
  };
  const dial = attempt(async () => {
    hangUp();
    show("warn", "connecting");
    connect.disabled = true;
    const { default: mqtt } = await import("../vendor/mqtt-5.16.0.esm.js");
    try {
      // Timers of its own would be a worker made from a text, which this page's policy forbids.
      client = await mqtt.connectAsync(url.value, { protocolVersion: 5, clientId: name.value, clean: true, reconnectPeriod: 0,
        connectTimeout: CONNECT_MS, timerVariant: "native", username: user.value || undefined, password: password.value || undefined }, false);
    } catch (error) {
      hangUp();
      throw new Error(`The connection was not made: ${error.message || "nobody answers there"}`);
    }
    if (signal.aborted) return hangUp();
    show("good", `connected as ${name.value}`);
    client.on("message", came);
    client.on("close", hangUp);
    client.on("error", (error) => refill(trouble, told(error)));
  });
  const take = attempt(async () => {
    const [granted] = await client.subscribeAsync(filter.value, { qos: Number(subscribeQos.value) });
    if (granted.qos > 2) throw new Error(`The broker refused ${filter.value} with 0x${granted.qos.toString(16)}.`);
    subscribed.set(filter.value, granted.qos);
    filters.textContent = `Subscribed to ${[...subscribed].map(([name, qos]) => `${name} (QoS ${qos})`).join(", ")}.`;
  });
  const give = attempt(async () => {
    done.textContent = "";
    const began = performance.now();
    const qos = Number(publishQos.value);
    await client.publishAsync(topic.value, text.value, { qos, retain: retain.checked });
    const took = `${(performance.now() - began).toFixed(1)} ms`;
    done.textContent = qos === 0 ? `Sent to ${topic.value}.` : `Acknowledged after ${took}: ${topic.value} is in the broker’s hands.`;
  });
  leave.addEventListener("click", hangUp);
  signal.addEventListener("abort", hangUp);
  listenerAddress(signal).then((address) => {
    if (address && !url.value) url.value = address;
    if (!address) refill(trouble, h("p", { class: "told" }, "No listener of this broker takes WebSockets; add one with websocket = true."));
  }).catch(() => {});
  const body = h("div", {},
    h("h1", { tabindex: "-1" }, "Publish & subscribe"),
    h("p", { class: "lead" }, "A client of your own, in this page, by the broker’s WebSocket listener: it logs in and is held to access rules as any other."),
    trouble,
    panel("Connection", h("form", { class: "bar", on: { submit: dial } }, field("WebSocket address", url, "wide"), field("Client identifier", name),
      field("User name", user, "narrow"), field("Password", password, "narrow"), connect, leave), h("p", { class: "under" }, status)),
    h("div", { class: "sides" },
      h("div", {},
        panel("Publish", h("form", { class: "stack", on: { submit: give } },
          h("div", { class: "bar" }, field("Topic name", topic), field("QoS", publishQos, "narrow")),
          field("Payload", text), h("div", { class: "bar" }, tick("retain", retain), publish), done)),
        panel("Subscribe", h("form", { class: "bar", on: { submit: take } }, field("Topic filter", filter),
          field("QoS", subscribeQos, "narrow"), subscribe), filters)),
      h("section", { class: "panel" }, h("div", { class: "head" }, h("h2", {}, "Messages"), clear), messages.told, messages.list)));
  return { title: "Publish & subscribe", body };
}
