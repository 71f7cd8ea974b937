// The frame around the pages: which one is open, whether the broker is ready, who looks.
import { h, refill, told } from "./parts/element.js";
import { onUnknown, token } from "./parts/api.js";
import { here, link } from "./parts/place.js";
import { learn, operator } from "./parts/operator.js";
import * as pulse from "./parts/pulse.js";
import * as signin from "./views/signin.js";

const PAGES = [
  ["overview", "Overview"],
  ["clients", "Clients & sessions"],
  ["stuck", "Stuck deliveries"],
  ["topics", "Topics"],
  ["subscriptions", "Subscriptions"],
  ["trace", "Trace"],
  ["talk", "Publish & subscribe"],
  ["drops", "Drops"],
  ["settings", "Settings"],
];

const page = document.getElementById("page");
const nav = document.getElementById("pages");
const readiness = document.getElementById("readiness");
const hindrance = document.getElementById("hindrance");
let leaving = new AbortController();

nav.append(...PAGES.map(([name, title]) => h("a", { href: link(name), data: { page: name } }, title)));

/** Ends what the page before did, and gives the next one its own end. */
function leave() {
  leaving.abort();
  leaving = new AbortController();
  return leaving.signal;
}

async function turn() {
  const place = here();
  const known = PAGES.some(([name]) => name === place.page);
  const name = known ? place.page : "overview";
  const signal = leave();
  for (const anchor of nav.children) {
    if (anchor.dataset.page === name) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
  nav.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  try {
    const view = await import(`./views/${name}.js`);
    if (signal.aborted) return;
    const { title, body } = view.open(place, signal);
    document.title = `${title} · VowMQ`;
    page.dataset.page = name;
    refill(page, body);
  } catch (problem) {
    refill(page, told(problem));
  }
  page.querySelector("h1")?.focus({ preventScroll: true });
  scrollTo(0, 0);
}

function readinessOf(sample, refusal) {
  if (sample !== null) return sample.ready ? ["good", "Ready"] : ["warn", "Not ready"];
  return refusal ? ["warn", "Not live"] : ["bad", "Not reached"];
}

function showReadiness(sample, refusal) {
  hindrance.hidden = !refusal;
  const words = refusal ? `No live values: ${refusal.text}. The broker is asked again every ${refusal.again_s} seconds.` : "";
  if (hindrance.textContent !== words) hindrance.textContent = words;
  const [kind, text] = readinessOf(sample, refusal);
  if (readiness.textContent === text) return;
  readiness.className = `state ${kind}`;
  readiness.textContent = text;
}

function enter() {
  document.body.classList.remove("signed-out");
  nav.hidden = false;
  document.getElementById("leave").hidden = !token.kept();
  const who = operator.name ? `${operator.name} (${operator.role})` : "no token, read only";
  document.getElementById("operator").textContent = who;
  pulse.begin();
  turn();
}

function askForToken() {
  token.forget();
  pulse.end();
  leave();
  nav.hidden = true;
  document.body.classList.add("signed-out");
  document.getElementById("leave").hidden = true;
  document.getElementById("operator").textContent = "";
  readiness.textContent = "";
  hindrance.hidden = true;
  document.title = "Sign in · VowMQ";
  page.dataset.page = "signin";
  refill(page, signin.open(enter));
  page.querySelector("input").focus();
}

addEventListener("hashchange", () => {
  if (!nav.hidden && location.hash.startsWith("#/")) turn();
});
document.getElementById("skip").addEventListener("click", (event) => {
  // The address says which page is open; it is not to be lost.
  event.preventDefault();
  page.focus();
});
document.getElementById("leave").addEventListener("click", askForToken);
// A browser has six connections for one address: tabs that nobody looks at hold none of them.
document.addEventListener("visibilitychange", () => {
  if (nav.hidden) return;
  if (document.hidden) pulse.end();
  else pulse.begin();
});
pulse.listen(showReadiness);

onUnknown(() => {
  if (!nav.hidden) askForToken();
});

learn().then(enter, (problem) => (problem.status === 401 ? askForToken() : refill(page, told(problem))));
