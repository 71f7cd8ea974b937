// Payloads as text, as JSON in order, or byte by byte; never as markup.
import { h } from "./element.js";

const HEX_BYTES_MAX = 16_384;
const ROW = 16;

function fromBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

function hex(bytes) {
  const rows = [];
  for (let at = 0; at < Math.min(bytes.length, HEX_BYTES_MAX); at += ROW) {
    const row = bytes.subarray(at, at + ROW);
    const digits = Array.from(row, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const letters = Array.from(row, (byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    rows.push(`${at.toString(16).padStart(6, "0")}  ${digits.padEnd(ROW * 3)} ${letters}`);
  }
  if (bytes.length > HEX_BYTES_MAX) rows.push(`… and ${bytes.length - HEX_BYTES_MAX} bytes more`);
  return rows.join("\n");
}

function ordered(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null ? JSON.stringify(value, null, 2) : undefined;
  } catch {
    return undefined;
  }
}

/** The forms that bytes can be shown in, the fittest first. */
function forms(bytes) {
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    text = undefined;
  }
  const json = text === undefined ? undefined : ordered(text);
  // Bytes are set out once they are asked for: few look at them.
  return [["JSON", json], ["Text", text], ["Hex", () => hex(bytes)]].filter(([, shown]) => shown !== undefined);
}

export function payload(bytes) {
  if (bytes.length === 0) return h("p", { class: "quiet" }, "The payload is empty.");
  const shown = h("pre", { class: "payload", tabindex: "0", role: "region", "aria-label": "Payload" });
  const all = forms(bytes);
  const buttons = all.map(([name, text]) => h("button", { type: "button", on: { click: () => show(name, text) } }, name));
  const show = (name, text) => {
    shown.textContent = typeof text === "function" ? text() : text;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.textContent === name));
  };
  show(...all[0]);
  return h("div", { class: "payload-box" }, h("div", { class: "choice", role: "group", "aria-label": "Show payload as" }, ...buttons), shown);
}

/** A payload as the API gives it. */
export function payloadOf(view) {
  if (view.payload_base64 !== undefined) return payload(fromBase64(view.payload_base64));
  return payload(new TextEncoder().encode(view.payload_text ?? ""));
}
