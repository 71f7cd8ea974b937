// Tables that become lists of cards on a narrow screen.
import { h, refill, empty } from "./element.js";

/** `columns` are head, cell (a row's text or element) and kind (`number`, `still`, `name`). */
export function table({ caption, columns, none }) {
  const head = h("tr", { role: "row" }, ...columns.map(([label, , kind]) =>
    h("th", { scope: "col", role: "columnheader", class: kind }, label)));
  const body = h("tbody", { role: "rowgroup" });
  const whole = h("table", { class: "table", role: "table" },
    h("caption", {}, caption), h("thead", { role: "rowgroup" }, head), body);
  const box = h("div", {}, whole);
  const row = (item) => h("tr", { role: "row" }, ...columns.map(([label, cell, kind]) =>
    h("td", { role: "cell", class: kind, data: { label } }, cell(item) ?? "")));
  const show = (items) => {
    refill(body, ...items.map(row));
    if (items.length > 0) box.replaceChildren(whole);
    else box.replaceChildren(empty(none));
  };
  show([]);
  box.replaceChildren(empty("…"));
  return { box, show };
}

/** Page by page: `load(cursor)` gives items and next, `show(items)` draws them. */
export function pager(load, show) {
  const before = [];
  let cursor;
  let next;
  const back = h("button", { type: "button", class: "small", data: { key: "back" } }, "Previous");
  const on = h("button", { type: "button", class: "small", data: { key: "on" } }, "Next");
  const place = h("span", { class: "quiet" });
  const bar = h("div", { class: "more", hidden: true }, back, place, on);
  const refresh = async () => {
    const page = await load(cursor);
    next = page.next;
    show(page.items);
    back.disabled = before.length === 0;
    on.disabled = next === undefined;
    bar.hidden = before.length === 0 && next === undefined;
    place.textContent = `Page ${before.length + 1}`;
  };
  back.addEventListener("click", () => {
    cursor = before.pop();
    refresh();
  });
  on.addEventListener("click", () => {
    before.push(cursor);
    cursor = next;
    refresh();
  });
  const restart = () => {
    before.length = 0;
    cursor = undefined;
    return refresh();
  };
  return { bar, refresh, restart };
}
