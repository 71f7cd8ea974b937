// Lines over the last minutes, drawn by uPlot.
import { h } from "./element.js";
import { now } from "./clock.js";

const HEIGHT = 168;
/** Seconds that are shown at least. */
const SPAN_S = 60;
const SWATCHES = ["", "second", "third"];
const ticking = matchMedia("(prefers-color-scheme: dark)");

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function axis(values, size) {
  const line = colour("--line");
  return {
    stroke: colour("--quiet"),
    grid: { stroke: line, width: 1 },
    ticks: { show: false },
    font: "12px system-ui, sans-serif",
    size,
    values,
  };
}

/** Hours and minutes, and seconds where the lines stand closer. */
function clockTime(_plot, splits, _axis, _space, step) {
  return splits.map((second) => new Date(second * 1000).toTimeString().slice(0, step < 60 ? 8 : 5));
}

function span(_plot, first, last) {
  const end = last ?? now() / 1000;
  return [Math.min(first ?? end, end - SPAN_S), end];
}

function options(series, wording, least, width) {
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    scales: { x: { range: span }, y: { range: (_plot, _low, high) => [0, Math.max(least, (high ?? 0) * 1.12)] } },
    axes: [{ ...axis(clockTime, 28), space: 80 }, axis((_plot, splits) => splits.map(wording), 58)],
    series: [
      {},
      ...series.map((_, index) => ({
        stroke: colour(`--series-${index + 1}`),
        width: 1.75,
        points: { show: false },
        spanGaps: true,
      })),
    ],
  };
}

/** A chart of samples: `series` are label and key, `least` is what the scale reaches at least. The last values stand beside it as text, for those who do not see it. */
export function chart({ title, series, wording, least, signal }) {
  const drawing = h("div", { class: "drawing", "aria-hidden": "true" });
  const values = series.map(() => h("b", {}, "–"));
  const legend = series.map(([label], index) =>
    h("span", {}, h("span", { class: `swatch ${SWATCHES[index]}` }), `${label} `, values[index]));
  const figure = h("figure", { class: "chart" },
    h("figcaption", {}, h("h2", {}, title), h("span", { class: "legend" }, ...legend)), drawing);
  let plot;
  let data = [[], ...series.map(() => [])];
  const draw = () => {
    plot?.destroy();
    if (drawing.clientWidth > 0) plot = new globalThis.uPlot(options(series, wording, least, drawing.clientWidth), data, drawing);
  };
  const resizing = new ResizeObserver(() => {
    if (!plot) draw();
    else if (drawing.clientWidth > 0) plot.setSize({ width: drawing.clientWidth, height: HEIGHT });
  });
  resizing.observe(drawing);
  ticking.addEventListener("change", draw, { signal });
  signal.addEventListener("abort", () => {
    resizing.disconnect();
    plot?.destroy();
  });
  const show = (samples) => {
    data = [samples.map((sample) => sample.at_ms / 1000),
      ...series.map(([, key]) => samples.map((sample) => sample[key] ?? null))];
    plot?.setData(data);
    series.forEach(([, key], index) => {
      const last = samples.findLast((sample) => sample[key] !== undefined && sample[key] !== null)?.[key];
      values[index].textContent = last === undefined ? "–" : wording(last);
    });
  };
  return { figure, show };
}
