// The broker's pulse: one stream for all pages, kept for ten minutes so that charts are not empty when one comes back.
import { follow } from "./api.js";
import { setBy } from "./clock.js";

const SAMPLES_MAX = 600;
const AGAIN_MS = 2000;
/** Where the broker answers, but not with values. */
const REFUSED_AGAIN_MS = 5000;

export const samples = [];
const listeners = new Set();
let ending;

/** `listener` is told each sample; or `null` when the broker is lost, with what it answered where it did: `again_s` says when it is asked again. */
export function listen(listener, signal) {
  listeners.add(listener);
  signal?.addEventListener("abort", () => listeners.delete(listener));
}

function tell(sample, refusal) {
  for (const listener of listeners) listener(sample, refusal);
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
    let refusal;
    try {
      await follow("live", { signal, event: (name, sample) => name === "sample" && take(sample) });
    } catch (error) {
      if (signal.aborted || error.status === 401) return;
      if (error.status > 0) refusal = { text: error.message, again_s: REFUSED_AGAIN_MS / 1000 };
    }
    if (signal.aborted) return;
    tell(null, refusal);
    await new Promise((resolve) => setTimeout(resolve, refusal ? REFUSED_AGAIN_MS : AGAIN_MS));
  }
}

export function end() {
  ending?.abort();
}
