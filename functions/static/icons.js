/** Small drawings. Each stands beside words that say the same, and is hidden from who hears the page. */

import { s } from "./dom.js";

/** Strokes on a field of 16 by 16. */
const STROKES = /** @type {const} */ ({
  all: "M2.5 4h11M2.5 8h11M2.5 12h11",
  valid: "M3 8.5l3.2 3.2L13 5",
  due: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5V5h-2.5",
  overdue: "M8 2v7.5M8 13v.4",
  expired: "M4 4l8 8M12 4l-8 8",
  disabled: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M4.2 4.2l7.6 7.6",
  unknown: "M5 5.5a3 3 0 1 1 4.3 2.7c-.9.5-1.3 1-1.3 1.9M8 13v.4",
  retired: "M3.5 8h9",
  waiting: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M8 5.5v2.7l1.7 1.2",
  copy: "M5.5 5.5V3h7.5v7.5h-2.5M3 5.5h7.5V13H3z",
});

/** @typedef {keyof typeof STROKES} Icon */

/**
 * @param {Icon} name
 * @returns {SVGElement}
 */
export function icon(name) {
  return s("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, s("path", { d: STROKES[name] }));
}
