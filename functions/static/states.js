/**
 * The states of devices, in the groups that the tiles count. A group has one colour, one drawing and one word, and they
 * always come together.
 *
 * @typedef {import("./models.js").State} State
 * @typedef {import("./icons.js").Icon} Icon
 * @typedef {{ tone: Icon, label: string, states: State[], says: string }} Group
 */

import { h } from "./dom.js";
import { icon } from "./icons.js";
import { words } from "./words.js";

/** @type {Group[]} */
export const GROUPS = [
  { tone: "valid", label: "Valid", states: ["valid"], says: "no renewal is wanted yet" },
  { tone: "due", label: "Due", states: ["due", "dispatching", "commanded"], says: "asked to renew, or about to be" },
  { tone: "overdue", label: "Overdue", states: ["overdue"], says: "did not renew in time; still valid" },
  { tone: "expired", label: "Expired", states: ["expired"], says: "ended; must register with DPS again" },
  { tone: "disabled", label: "Disabled", states: ["disabled"], says: "shut out" },
  { tone: "unknown", label: "Unknown", states: ["unknown", "provisional"], says: "no certificate was reported" },
];

/** Devices that the hub does not know any more: no tile counts them. @type {Group} */
const RETIRED = { tone: "retired", label: "Retired", states: ["retired"], says: "the hub has no such device any more" };

/** What can be filtered by. */
export const CHOICES = [...GROUPS, RETIRED];

/**
 * The group of a state; one that this page does not know yet is told as unknown.
 * @param {string} state
 * @returns {Group}
 */
export function groupOf(state) {
  const unknown = /** @type {Group} */ (GROUPS.at(-1));
  return CHOICES.find((group) => group.states.some((known) => known === state)) ?? unknown;
}

/**
 * A state as a badge: colour, drawing, and the state's own name.
 * @param {string} state
 */
export function badge(state) {
  return h("span", { class: `badge tone-${groupOf(state).tone}` }, icon(groupOf(state).tone), words(state));
}
