// Tables that become lists of cards on a narrow screen.
import { inTurn } from "./clock.js";
import { h, refill, empty } from "./element.js";

/** Puts `rows` into `body` in this order; those that stay are not touched. */
function settle(body, rows) {
  const wanted = new Set(rows);
  for (const row of [...body.children]) {
    if (!wanted.has(row)) row.remove();
  }
  let at = body.firstElementChild;
  for (const row of rows) {
    if (row === at) at = at.nextElementSibling;
    else body.insertBefore(row, at);
  }
}

/**
 * `columns` are head, cell (a row's text or element) and kind (`number`, `still`, `name`). Items that are `lasting` never
 * change: their rows stay as they are, with what was opened or marked in them.
 */
export function table({ caption, columns, none, lasting = false }) {
  const head = h("tr", { role: "row" }, ...columns.map(([label, , kind]) =>
    h("th", { scope: "col", role: "columnheader", class: kind }, label)));
  const body = h("tbody", { role: "rowgroup" });
  const whole = h("table", { class: "table", role: "table" },
    h("caption", {}, caption), h("thead", { role: "rowgroup" }, head), body);
  const box = h("div", {}, whole);
  const row = (item) => h("tr", { role: "row" }, ...columns.map(([label, cell, kind]) =>
    h("td", { role: "cell", class: kind, data: { label } }, cell(item) ?? "")));
  const rows = new WeakMap();
  const rowOf = (item) => {
    if (!rows.has(item)) rows.set(item, row(item));
    return rows.get(item);
  };
  const show = (items) => {
    if (lasting) settle(body, items.map(rowOf));
    else refill(body, ...items.map(row));
    if (items.length === 0) box.replaceChildren(empty(none));
    // Put in place again, it would lose the focus and what is marked in it.
    else if (whole.parentNode !== box) box.replaceChildren(whole);
  };
  show([]);
  box.replaceChildren(empty("…"));
  return { box, show };
}

/** Page by page: `load(cursor)` gives items and next, `show(items, page)` draws them, `attempt(work)` tells what went wrong. One is loaded at a time. */
export function pager(load, show, attempt) {
  const before = [];
  const queued = inTurn();
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
    show(page.items, page);
    back.disabled = before.length === 0;
    on.disabled = next === undefined;
    bar.hidden = before.length === 0 && next === undefined;
    place.textContent = `Page ${before.length + 1}`;
  };
  const begin = async () => {
    const page = await turn(undefined);
    before.length = 0;
    draw(page);
  };
  const again = async () => {
    const page = await turn(cursor);
    // What was on this page is gone; there may be some on those before.
    if (page.items.length === 0 && before.length > 0) await begin();
    else draw(page);
  };
  const goBack = async () => {
    if (before.length === 0) return;
    const page = await turn(before.at(-1));
    before.pop();
    draw(page);
  };
  const goOn = async () => {
    if (next === undefined) return;
    const left = cursor;
    const page = await turn(next);
    before.push(left);
    draw(page);
  };
  back.addEventListener("click", () => attempt(() => queued(goBack)));
  on.addEventListener("click", () => attempt(() => queued(goOn)));
  return { bar, refresh: () => queued(again), restart: () => queued(begin) };
}
