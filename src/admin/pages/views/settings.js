// The settings in force, where each comes from, and when a change would count.
import { h, field, refill, tag, tick, told } from "../parts/element.js";
import { keep } from "../parts/place.js";
import { table } from "../parts/table.js";
import { read } from "../parts/api.js";

const EFFECTS = {
  at_once: "at once",
  for_new_clients: "for new clients",
  at_restart: "at the next start",
};

function value(setting) {
  return h("code", {}, typeof setting.value === "string" ? setting.value || "\"\"" : JSON.stringify(setting.value, null, 1));
}

function from({ source }) {
  if (source === "default") return h("span", { class: "quiet" }, "default");
  if (source === "earlier") return h("span", {}, tag("read earlier", "warn"), " changed since, and stays until the next start");
  return h("code", {}, source);
}

const COLUMNS = [
  ["Setting", (row) => h("code", {}, row.key), "still"],
  ["Value", value, "name"],
  ["From", from, "name"],
  ["A change counts", (row) => EFFECTS[row.effect] ?? row.effect, "still"],
];

export function open(place, signal) {
  const contains = h("input", { type: "search", value: place.query.get("contains") ?? "", autocomplete: "off", spellcheck: "false" });
  const given = h("input", { type: "checkbox", checked: place.query.has("given") });
  const list = table({ caption: "Settings in force", columns: COLUMNS, none: "No setting is like that." });
  const trouble = h("div");
  let settings = [];
  const show = () => {
    keep("settings", [], { contains: contains.value, given: given.checked ? "1" : "" });
    list.show(settings.filter(({ key, source }) => key.includes(contains.value.trim()) && (!given.checked || source !== "default")));
  };
  contains.addEventListener("input", show);
  given.addEventListener("change", show);
  read("settings", {}, signal).then((found) => {
    settings = found;
    show();
  }, (problem) => !signal.aborted && refill(trouble, told(problem)));
  const body = h("div", {},
    h("h1", { tabindex: "-1" }, "Settings"),
    h("p", { class: "lead" }, "What is in force now, and which layer it comes from: a flag stands above the environment, that above the conf file, and all above the defaults. Secrets are in files of their own, and not shown."),
    h("div", { class: "panel" }, h("div", { class: "bar" }, field("Key contains", contains), tick("only what was set", given))),
    trouble,
    h("div", { class: "panel" }, list.box));
  return { title: "Settings", body };
}
