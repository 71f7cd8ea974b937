// Short words on what was done, and questions before something is.
import { h, sentence } from "./element.js";

const SHOWN_MS = 6000;

export function notice(text, kind = "") {
  const shown = h("div", { class: `notice ${kind}` }, text);
  document.getElementById("notices").append(shown);
  setTimeout(() => shown.remove(), SHOWN_MS);
}

/** Asks; true if it is meant. What changes nothing has the focus. */
export function confirmed({ title, text, action }) {
  const keep = h("button", { type: "button", autofocus: true }, "Cancel");
  const go = h("button", { type: "button", class: "grave" }, action);
  const dialog = h("dialog", { "aria-labelledby": "question" },
    h("h2", { id: "question" }, title), h("p", {}, text), h("div", { class: "bar end" }, keep, go));
  document.body.append(dialog);
  return new Promise((resolve) => {
    let is_meant = false;
    keep.addEventListener("click", () => dialog.close());
    go.addEventListener("click", () => {
      is_meant = true;
      dialog.close();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(is_meant);
    });
    dialog.showModal();
    keep.focus();
  });
}

/** Does something that changes the broker, once it is confirmed, and says how it went. */
export async function steer(question, work, done) {
  if (!(await confirmed(question))) return false;
  try {
    await work();
    notice(done);
    return true;
  } catch (problem) {
    notice(sentence(problem.message), "bad");
    return false;
  }
}
