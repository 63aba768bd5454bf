/** What stands in the place of data: that it is on its way, that there is none, that it cannot be had and why. */

import { h } from "./dom.js";
import { words } from "./words.js";

/** @typedef {import("./api.js").ApiError} ApiError */

/** @param {string} what */
export function loading(what) {
  return h("p", { class: "notice loading" }, `Loading ${what} …`);
}

/**
 * @param {string} title
 * @param {...import("./dom.js").Child} says
 */
export function nothing(title, ...says) {
  return h("div", { class: "notice" }, h("p", { class: "notice-title" }, title), h("p", {}, ...says));
}

/**
 * Why something cannot be shown. Who lacks a role is told which; what may pass can be tried again.
 * @param {string} what
 * @param {ApiError} error
 * @param {() => void} again
 */
export function trouble(what, error, again) {
  const refused = error.status === 403;
  const title = refused ? `You may not see ${what}` : `${words(what)} cannot be shown`;
  return h(
    "div",
    { class: `notice ${refused ? "refused" : "failed"}`, role: "alert", "data-problem": error.kind },
    h("p", { class: "notice-title" }, title),
    h("p", {}, refused ? `${sentence(error.detail)} Whoever assigns the app's roles in Microsoft Entra can give it.` : told(error)),
    !refused && h("button", { type: "button", onclick: again }, "Try again"),
  );
}

/**
 * Says beside older data that it is older.
 * @param {ApiError} error
 * @param {() => void} again
 */
export function stale(error, again) {
  return h(
    "div",
    { class: "notice failed slim", role: "alert", "data-problem": error.kind, "data-key": "stale" },
    h("p", {}, `This is older: it cannot be brought up to date. ${told(error)}`),
    h("button", { type: "button", onclick: again }, "Try again"),
  );
}

/** @param {ApiError} error */
export function told(error) {
  return `${error.title}: ${sentence(error.detail)}`;
}

/** @param {string} text */
export function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}
