/** Which devices the list holds. The address keeps it, so that it can be handed on and gone back to. */

import { h } from "./dom.js";
import { DAY } from "./instants.js";
import { fleetHref } from "./router.js";
import { CHOICES } from "./states.js";

/** @typedef {{ state: string, ends: string, text: string, tag: string, issuer: string }} Filter */

const NAMES = /** @type {const} */ (["state", "ends", "text", "tag", "issuer"]);
const TYPING = 350;

/** When certificates end, in days from now: from, to. @type {Record<string, [number | null, number | null]>} */
const ENDS = { past: [null, 0], "1d": [0, 1], "7d": [1, 7], "30d": [7, 30], "90d": [30, 90], later: [90, null] };

/**
 * @param {URLSearchParams} query
 * @returns {Filter}
 */
export function filterOf(query) {
  const [state, ends, text, tag, issuer] = NAMES.map((name) => query.get(name) ?? "");
  return /** @type {Filter} */ ({ state, ends, text, tag, issuer });
}

/** @param {Filter} filter */
export function isAnything(filter) {
  return NAMES.every((name) => !filter[name]);
}

/**
 * As the API takes it.
 * @param {Filter} filter
 * @param {number} now milliseconds
 */
export function apiQuery({ state, ends, text, tag, issuer }, now) {
  const [from, to] = ENDS[ends] ?? [null, null];
  return { state, text, tag, issuer, expiresAfter: day(now, from), expiresBefore: day(now, to) };
}

/**
 * @param {number} now
 * @param {number | null} days
 */
function day(now, days) {
  return days === null ? null : `${new Date(now + days * DAY).toISOString().slice(0, 19)}Z`;
}

/** The form. What is changed in it changes the address. */
export class FilterForm {
  constructor() {
    this.text = h("input", { type: "search", id: "filter-text", maxlength: 256, placeholder: "Id, group, thumbprint or tag" });
    const states = CHOICES.map(({ label, states }) => h("option", { value: states.join(",") }, label));
    this.state = h("select", { id: "filter-state" }, h("option", { value: "" }, "Any state"), ...states);
    this.ends = h("select", { id: "filter-ends" }, ...Object.entries(END_LABELS).map(([v, l]) => h("option", { value: v }, l)));
    this.tag = h("input", { id: "filter-tag", maxlength: 512, placeholder: "name=value", pattern: "[^=]+=.*" });
    this.issuer = h("input", { id: "filter-issuer", maxlength: 256, placeholder: "Key id or name" });
    this.clear = h("a", { class: "button quiet", href: fleetHref() }, "Clear");
    this.more = h("details", { class: "more" }, h("summary", {}, "More"), this.rare());
    this.typing = 0;
    this.element = h(
      "form",
      { class: "filter", role: "search", "aria-label": "Devices", onsubmit: (/** @type {Event} */ e) => this.submit(e) },
      field("Search", this.text),
      field("State", this.state),
      field("Ends", this.ends),
      this.more,
      this.clear,
    );
    this.element.addEventListener("input", (event) => this.changed(event.target));
  }

  rare() {
    return h("div", { class: "more-fields" }, field("Tag", this.tag), field("Issuer", this.issuer));
  }

  /** @param {Filter} filter */
  show(filter) {
    for (const name of NAMES) if (this[name] !== document.activeElement) this[name].value = filter[name];
    if (filter.tag || filter.issuer) this.more.open = true;
    this.clear.hidden = isAnything(filter);
  }

  /** @param {EventTarget | null} where */
  changed(where) {
    clearTimeout(this.typing);
    this.typing = window.setTimeout(() => this.apply(), where instanceof HTMLSelectElement ? 0 : TYPING);
  }

  /** What was being typed when the reader left is not searched for any more. */
  close() {
    clearTimeout(this.typing);
  }

  /** @param {Event} event */
  submit(event) {
    event.preventDefault();
    this.apply();
  }

  apply() {
    clearTimeout(this.typing);
    if (!this.element.reportValidity()) return;
    location.hash = fleetHref(Object.fromEntries(NAMES.map((name) => [name, this[name].value.trim()])));
  }
}

const END_LABELS = {
  "": "Any time",
  past: "Ended",
  "1d": "Within a day",
  "7d": "In 1 to 7 days",
  "30d": "In 7 to 30 days",
  "90d": "In 30 to 90 days",
  later: "Later",
};

/**
 * @param {string} label
 * @param {HTMLElement} control with an id
 */
function field(label, control) {
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control);
}
