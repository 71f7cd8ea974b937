// The broker's pulse: one stream for all pages, kept for ten minutes so that charts are not empty when one comes back.
import { follow } from "./api.js";
import { setBy } from "./clock.js";

const SAMPLES_MAX = 600;
const AGAIN_MS = 2000;

export const samples = [];
const listeners = new Set();
let ending;

/** `listener` is told each sample, and `null` when the broker is lost. */
export function listen(listener, signal) {
  listeners.add(listener);
  signal?.addEventListener("abort", () => listeners.delete(listener));
}

function tell(sample) {
  for (const listener of listeners) listener(sample);
}

function take(sample) {
  setBy(sample.at_ms);
  samples.push(sample);
  if (samples.length > SAMPLES_MAX) samples.shift();
  tell(sample);
}

export async function begin() {
  end();
  ending = new AbortController();
  const { signal } = ending;
  while (!signal.aborted) {
    try {
      await follow("live", { signal, event: (name, sample) => name === "sample" && take(sample) });
    } catch (error) {
      if (signal.aborted || error.status === 401) return;
    }
    if (signal.aborted) return;
    tell(null);
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

export function end() {
  ending?.abort();
}
