/**
 * Goes through a list page by page. The API gives a cursor for the next page only, so that the way back is remembered.
 */

import { h } from "./dom.js";

export const SIZES = [25, 50, 100, 200];

export class Pager {
  /** @param {() => void} turned */
  constructor(turned) {
    this.turned = turned;
    this.limit = 50;
    /** What each page up to this one was asked for by. @type {(string | null)[]} */
    this.cursors = [null];
    /** @type {string | null} */
    this.next = null;
    this.partial = false;
  }

  /** The cursor of the page that is shown. */
  get cursor() {
    return this.cursors.at(-1) ?? null;
  }

  get page() {
    return this.cursors.length;
  }

  /** To the first page. */
  reset() {
    this.cursors = [null];
  }

  /** @param {import("./models.js").PageAnswer} answer */
  show({ cursor, partial }) {
    this.next = cursor;
    this.partial = partial;
  }

  forward() {
    if (this.next) this.cursors.push(this.next);
    this.turned();
  }

  back() {
    if (this.cursors.length > 1) this.cursors.pop();
    this.turned();
  }

  /** @param {Event} event */
  resize(event) {
    this.limit = Number(/** @type {HTMLSelectElement} */ (event.target).value);
    this.reset();
    this.turned();
  }

  element() {
    const sizes = SIZES.map((size) => h("option", { value: size, selected: size === this.limit }, String(size)));
    const onward = this.partial ? "Search on" : "Next";
    return h(
      "nav",
      { class: "pager", "aria-label": "Pages of devices" },
      h("label", { for: "page-size" }, "Rows"),
      h("select", { id: "page-size", onchange: (/** @type {Event} */ event) => this.resize(event) }, ...sizes),
      h("span", { class: "page" }, `Page ${this.page}`),
      turn("Previous", () => this.back(), this.cursors.length > 1),
      turn(onward, () => this.forward(), this.next !== null),
    );
  }
}

/**
 * A button that stays where it is, and keeps the focus, when there is nothing more behind it.
 * @param {string} label
 * @param {() => void} turn
 * @param {boolean} possible
 */
function turn(label, turn, possible) {
  return h("button", { type: "button", "aria-disabled": possible ? null : "true", onclick: possible ? turn : () => {} }, label);
}
