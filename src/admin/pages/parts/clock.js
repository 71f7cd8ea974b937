// The broker's time: a browser's clock may be wrong, and ages are told by the broker's.

let offset = 0;

export function setBy(at_ms) {
  offset = at_ms - Date.now();
}

export const now = () => Date.now() + offset;

/** Does something at once and then again and again, one after the other, while the page is seen and until `signal`. */
export function every(period_ms, signal, work) {
  let timer;
  const turn = async () => {
    if (!document.hidden) await work();
    if (!signal.aborted) timer = setTimeout(turn, period_ms);
  };
  signal.addEventListener("abort", () => clearTimeout(timer));
  turn();
}
