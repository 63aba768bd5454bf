/** The fleet in numbers: a tile for each group of states, and a band of their shares. Each tile filters the list. */

import { h, s } from "./dom.js";
import { icon } from "./icons.js";
import { written } from "./instants.js";
import { fleetHref } from "./router.js";
import { GROUPS } from "./states.js";
import { share, whole } from "./words.js";

/** @typedef {import("./models.js").SnapshotAnswer} Snapshot */

/**
 * @param {Snapshot} snapshot
 * @param {string} chosen the states that the list is filtered by, as the address has them
 */
export function tiles(snapshot, chosen) {
  const all = tile("all", "All devices", snapshot.total, "in the fleet", "", chosen);
  const groups = GROUPS.map(({ tone, label, states, says }) => {
    const number = states.reduce((sum, state) => sum + (snapshot.states[state] ?? 0), 0);
    return tile(tone, label, number, share(number, snapshot.total), states.join(","), chosen, says);
  });
  const asOf = h("time", { datetime: snapshot.asOf }, written(snapshot.asOf));
  return [
    h("ul", { class: "tiles" }, all, ...groups),
    band(snapshot),
    h("p", { class: "note" }, "Counted ", asOf, ". Retired devices are not among them. The list below is live."),
  ];
}

/**
 * @param {import("./icons.js").Icon} tone
 * @param {string} label
 * @param {number} number
 * @param {string} beside
 * @param {string} states
 * @param {string} chosen
 * @param {string} [says]
 */
function tile(tone, label, number, beside, states, chosen, says = "") {
  const current = chosen === states ? "true" : null;
  const props = { class: `tile tone-${tone}`, href: fleetHref({ state: states }), "aria-current": current, title: says };
  return h(
    "li",
    {},
    h(
      "a",
      props,
      h("span", { class: "tile-label" }, icon(tone), label),
      h("span", { class: "tile-number", "data-tile": tone }, whole(number)),
      h("span", { class: "tile-share" }, beside),
    ),
  );
}

/**
 * The shares as a band. The tiles say the same in words.
 * @param {Snapshot} snapshot
 */
function band(snapshot) {
  let at = 0;
  const parts = GROUPS.map(({ tone, states }) => {
    const number = states.reduce((sum, state) => sum + (snapshot.states[state] ?? 0), 0);
    const part = s("rect", { class: `tone-${tone}`, x: at, width: number, height: 1 });
    at += number;
    return part;
  });
  const view = `0 0 ${Math.max(snapshot.total, 1)} 1`;
  return s("svg", { class: "band", viewBox: view, preserveAspectRatio: "none", "aria-hidden": "true" }, ...parts);
}
