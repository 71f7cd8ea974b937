// Asking the broker. The token is kept for this tab alone, and sent only in a header: no cookie that another page could use.

const KEPT_AS = "vowmq.token";
/** No answer takes that long; without an end, a page would wait for a lost one and show old values. */
const PATIENCE_MS = 30_000;
let whenUnknown = () => {};

/** What the broker answers when it does not do what was asked. */
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export const token = {
  keep: (secret) => sessionStorage.setItem(KEPT_AS, secret),
  forget: () => sessionStorage.removeItem(KEPT_AS),
  kept: () => sessionStorage.getItem(KEPT_AS),
};

/** Called when a token is needed, or not known any longer. */
export function onUnknown(listener) {
  whenUnknown = listener;
}

function address(path, query) {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== "") asked.set(name, value);
  }
  const text = asked.toString();
  return `api/v1/${path}${text && `?${text}`}`;
}

function headers(body) {
  const all = {};
  if (token.kept()) all.Authorization = `Bearer ${token.kept()}`;
  if (body !== undefined) all["Content-Type"] = "application/json";
  return all;
}

async function request(method, path, { query, body, signal } = {}) {
  const asked = { method, headers: headers(body), signal, cache: "no-store", credentials: "omit" };
  if (body !== undefined) asked.body = JSON.stringify(body);
  let response;
  try {
    response = await fetch(address(path, query), asked);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (error.name === "TimeoutError") throw new Problem(0, `the broker has not answered for ${PATIENCE_MS / 1000} seconds`);
    throw new Problem(0, "the broker does not answer");
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401) whenUnknown();
  throw new Problem(response.status, problem.detail ?? `the broker answered ${response.status}`);
}

export async function ask(method, path, asked) {
  const ends = [AbortSignal.timeout(PATIENCE_MS), asked?.signal].filter(Boolean);
  return (await request(method, path, { ...asked, signal: AbortSignal.any(ends) })).json();
}

export const read = (path, query, signal) => ask("GET", path, { query, signal });

/** A part of a path that is somebody's name. */
export const named = (name) => encodeURIComponent(name);

/** Server-Sent Events: EventSource could not send the token. Ends when the broker does, or by `signal`. */
export async function follow(path, { query, signal, begun, event }) {
  const response = await request("GET", path, { query, signal });
  begun?.();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) tell(block, event);
  }
}

function tell(block, event) {
  let name = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  if (data.length > 0) event(name, JSON.parse(data.join("\n")));
}
