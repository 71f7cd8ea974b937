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

/** Page by page: `load(cursor)` gives items and next, `show(items)` draws them, `attempt(work)` tells what went wrong. */
export function pager(load, show, attempt) {
  const before = [];
  let cursor;
  let next;
  const back = h("button", { type: "button", class: "small", data: { key: "back" } }, "Previous");
  const on = h("button", { type: "button", class: "small", data: { key: "on" } }, "Next");
  const place = h("span", { class: "quiet" });
  const bar = h("div", { class: "more", hidden: true }, back, place, on);
  const turn = async (to) => {
    const page = await load(to);
    // Only now: where it failed, the page that is shown is still the one that was asked for.
    cursor = to;
    next = page.next;
    return page;
  };
  const draw = (page) => {
    show(page.items);
    back.disabled = before.length === 0;
    on.disabled = next === undefined;
    bar.hidden = before.length === 0 && next === undefined;
    place.textContent = `Page ${before.length + 1}`;
  };
  const refresh = async () => draw(await turn(cursor));
  back.addEventListener("click", () => attempt(async () => {
    const page = await turn(before.at(-1));
    before.pop();
    draw(page);
  }));
  on.addEventListener("click", () => attempt(async () => {
    const left = cursor;
    const page = await turn(next);
    before.push(left);
    draw(page);
  }));
  const restart = async () => {
    const page = await turn(undefined);
    before.length = 0;
    draw(page);
  };
  return { bar, refresh, restart };
}
