// The broker's time: a browser's clock may be wrong, and ages are told by the broker's.

let offset = 0;

export function setBy(at_ms) {
  offset = at_ms - Date.now();
}

export const now = () => Date.now() + offset;

/**
 * Does something at once and then again and again while the page is seen and until `signal`; never while the last one is
 * under way, and after one that took long only when as long has passed again. Gives a function that does it out of turn: at
 * once, or as soon as the one under way has ended.
 */
export function every(period_ms, signal, work) {
  let [timer, is_under_way, is_wanted] = [undefined, false, false];
  const turn = async () => {
    is_wanted = true;
    if (is_under_way || signal.aborted) return;
    clearTimeout(timer);
    is_under_way = true;
    let took_ms = 0;
    try {
      while (is_wanted && !signal.aborted) {
        is_wanted = false;
        const began = performance.now();
        if (!document.hidden) await work();
        took_ms = performance.now() - began;
      }
    } finally {
      is_under_way = false;
      if (!signal.aborted) timer = setTimeout(turn, Math.max(period_ms, took_ms));
    }
  };
  signal.addEventListener("abort", () => clearTimeout(timer));
  turn();
  return turn;
}

/** Gives a function that does what it is given once all that it was given before has ended. */
export function inTurn() {
  let last = Promise.resolve();
  return (work) => {
    const mine = last.then(work);
    last = mine.catch(() => {});
    return mine;
  };
}
