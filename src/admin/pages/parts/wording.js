// Numbers and times as people read them.
import { now } from "./clock.js";

const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });

export const count = (value) => whole.format(value ?? 0);

/** A rate: exact while small. */
export function rate(value) {
  if (value >= 100 || value === 0) return whole.format(value);
  return value.toFixed(value < 10 ? 1 : 0);
}

export function bytes(value) {
  let left = value ?? 0;
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (left < 1024) return `${left < 10 && unit !== "B" ? left.toFixed(1) : Math.round(left)} ${unit}`;
    left /= 1024;
  }
  return `${left.toFixed(1)} TiB`;
}

export function micros(value) {
  if (value === undefined || value === null) return "–";
  if (value < 1000) return `${Math.round(value)} µs`;
  if (value < 1_000_000) return `${(value / 1000).toFixed(value < 10_000 ? 1 : 0)} ms`;
  return `${(value / 1_000_000).toFixed(1)} s`;
}

export function span(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

export const age = (at_ms) => span(now() - at_ms);

export function moment(at_ms) {
  const at = new Date(at_ms);
  const part = (value, width = 2) => String(value).padStart(width, "0");
  const day = `${at.getFullYear()}-${part(at.getMonth() + 1)}-${part(at.getDate())}`;
  return `${day} ${part(at.getHours())}:${part(at.getMinutes())}:${part(at.getSeconds())}`;
}

/** What a delivery waits for, and what that means. */
export const WAITS = {
  queued: ["queued", "It was never sent: the client is away, or its window is full of those before it.", ""],
  awaiting_puback: ["awaiting PUBACK", "PUBLISH was sent; the client has not acknowledged it.", "warn"],
  awaiting_pubrec: ["awaiting PUBREC", "PUBLISH was sent; the client has not said that it has it.", "warn"],
  awaiting_pubcomp: ["awaiting PUBCOMP", "The client has the message and PUBREL was sent; it has not completed.", "warn"],
  awaiting_pubrel: ["awaiting PUBREL", "The broker has the client's message; the client has not released it.", "warn"],
};
