// The way in for whoever needs a token.
import { h, field, sentence } from "../parts/element.js";
import { token } from "../parts/api.js";
import { learn } from "../parts/operator.js";

export function open(entered) {
  const secret = h("input", { type: "password", autocomplete: "current-password", required: true, name: "token" });
  const wrong = h("p", { class: "told bad", role: "alert", hidden: true });
  const enter = async (event) => {
    event.preventDefault();
    token.keep(secret.value.trim());
    try {
      await learn();
      entered();
    } catch (problem) {
      token.forget();
      wrong.textContent = sentence(problem.message);
      wrong.hidden = false;
      secret.select();
    }
  };
  return h("section", { class: "panel sign-in" },
    h("form", { on: { submit: enter } },
      h("h1", { tabindex: "-1" }, "Sign in"),
      wrong,
      field("Token", secret),
      h("p", { class: "quiet" }, "One of ", h("code", {}, "[[admin.token]]"), ", or the broker’s own from ",
        h("code", {}, "data_dir/admin.token"), ". It is kept until this tab is closed."),
      h("button", { type: "submit", class: "main" }, "Sign in")));
}
