// Building the page. Texts become text nodes and nothing else: client identifiers, topics and payloads are other people's.

/** An element; `on` holds listeners, `data` data attributes, booleans set or leave out an attribute. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (key === "data") {
      Object.assign(element.dataset, value);
    } else if (key === "value") {
      element.value = value;
    } else {
      element.setAttribute(key, value === true ? "" : String(value));
    }
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** Puts other children in place; what had the focus and is there again, by its data-key, keeps it. */
export function refill(parent, ...children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  const key = focused?.dataset.key;
  parent.replaceChildren(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  if (key === undefined) return;
  for (const candidate of parent.querySelectorAll("[data-key]")) {
    if (candidate.dataset.key === key) return candidate.focus({ preventScroll: true });
  }
}

export function panel(heading, ...children) {
  return h("section", { class: "panel" }, heading && h("h2", {}, heading), ...children);
}

/** A labelled control. */
export function field(label, control, kind = "") {
  return h("label", { class: `field ${kind}` }, h("span", {}, label), control);
}

export function tick(label, control) {
  return h("label", { class: "tick" }, control, label);
}

export function choice(options, chosen) {
  const select = h("select", {}, ...options.map(([value, label]) => h("option", { value }, label)));
  select.value = chosen ?? options[0][0];
  return select;
}

export function facts(pairs) {
  const told = pairs.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return h("dl", { class: "facts" }, ...told.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

export function state(kind, text) {
  return h("span", { class: `state ${kind}` }, text);
}

export function tag(text, kind = "") {
  return h("span", { class: `tag ${kind}` }, text);
}

export function empty(text) {
  return h("p", { class: "empty" }, text);
}

/** The broker's words begin small. */
export const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;

/** What went wrong, for whoever looks. */
export function told(problem) {
  return h("p", { class: "told bad", role: "alert" }, sentence(problem.message));
}
