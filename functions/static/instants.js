/** Instants and spans of time as people read them. Everything is UTC, as in logs, alerts and the command line. */

import { h } from "./dom.js";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/**
 * "2026-11-23 10:15:00 UTC".
 * @param {string} instant RFC 3339
 */
export function written(instant) {
  return `${new Date(instant).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/**
 * An instant as an element; without one, a dash.
 * @param {string | null} instant RFC 3339
 */
export function instant(instant) {
  return instant ? h("time", { datetime: instant }, written(instant)) : h("span", { class: "faint" }, "–");
}

/**
 * A span in its two largest units: "12 days 4 h", "5 h 12 min", "1 min 30 s".
 * @param {number} milliseconds not negative
 */
export function span(milliseconds) {
  const units = /** @type {const} */ ([[DAY, "day"], [HOUR, "h"], [MINUTE, "min"], [SECOND, "s"]]);
  const first = units.findIndex(([size]) => milliseconds >= size);
  if (first < 0) return "0 s";
  let rest = milliseconds;
  const parts = units.slice(first, first + 2).map(([size, unit]) => {
    const number = Math.floor(rest / size);
    rest -= number * size;
    return number && `${number} ${unit}${unit === "day" && number > 1 ? "s" : ""}`;
  });
  return parts.filter(Boolean).join(" ");
}

/**
 * How long it is until an instant: "12 days 4 h", "ended 3 h ago".
 * @param {string} until RFC 3339
 * @param {number} now milliseconds
 */
export function timeLeft(until, now) {
  const left = Date.parse(until) - now;
  return left > 0 ? span(left) : `ended ${span(-left)} ago`;
}

/**
 * The time that is left as an element, which `tick` keeps up to date.
 * @param {string | null} until RFC 3339; null: there is no certificate
 */
export function countdown(until) {
  if (!until) return h("span", { class: "faint" }, "no certificate");
  return h("time", { datetime: until, "data-until": until, title: written(until) }, timeLeft(until, Date.now()));
}

/** Brings every countdown up to date. */
export function tick() {
  for (const element of document.querySelectorAll("[data-until]")) {
    const text = timeLeft(element.getAttribute("data-until") ?? "", Date.now());
    if (element.textContent !== text) element.textContent = text;
  }
}
