/** Devices as rows, those with the least time left first. */

import { h, s } from "./dom.js";
import { countdown, instant } from "./instants.js";
import { deviceHref } from "./router.js";
import { badge, groupOf } from "./states.js";
import { words } from "./words.js";

/** @typedef {import("./models.js").DeviceLineAnswer} Line */

/** A narrow window leaves out the columns that are marked; the device's own page has them. */
const COLUMNS = [
  ["Device", ""],
  ["State", ""],
  ["Time left", ""],
  ["Ends", "wide"],
  ["Why", "medium"],
  ["Group", "medium"],
  ["Tags", "wide"],
  ["Evidence", "wide"],
];

/** @param {Line[]} lines */
export function deviceTable(lines) {
  const headings = COLUMNS.map(([label, width]) => {
    return h("th", { scope: "col", class: width, "aria-sort": label === "Time left" ? "ascending" : null }, label ?? "");
  });
  return h(
    "table",
    { class: "devices" },
    h("caption", { class: "unseen" }, "Devices, those with the least time left first"),
    h("thead", {}, h("tr", {}, ...headings)),
    h("tbody", {}, ...lines.map(row)),
  );
}

/** @param {Line} line */
function row(line) {
  return h(
    "tr",
    { "data-key": line.deviceId, "data-device": line.deviceId },
    h("th", { scope: "row" }, h("a", { class: "id", href: deviceHref(line.deviceId) }, line.deviceId)),
    h("td", {}, badge(line.state)),
    h("td", { class: "left" }, countdown(line.validUntil), lifeBar(line)),
    h("td", { class: "wide" }, instant(line.validUntil)),
    h("td", { class: "medium" }, words(line.reason)),
    h("td", { class: "medium" }, line.enrollmentGroup ?? h("span", { class: "faint" }, "–")),
    h("td", { class: "wide" }, tags(line.tags)),
    h("td", { class: "wide" }, line.evidence ? words(line.evidence) : h("span", { class: "faint" }, "–")),
  );
}

/**
 * How much of its life a certificate has left, as a bar beside the words.
 * @param {Line} line
 */
function lifeBar({ validFrom, validUntil, state }) {
  if (!validFrom || !validUntil) return null;
  const [from, until] = [Date.parse(validFrom), Date.parse(validUntil)];
  const left = Math.min(1, Math.max(0, (until - Date.now()) / (until - from)));
  return s(
    "svg",
    { class: `life tone-${groupOf(state).tone}`, viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" },
    s("rect", { class: "life-whole", width: 100, height: 4 }),
    s("rect", { class: "life-left", width: Math.round(left * 100), height: 4 }),
  );
}

/**
 * Tags of a twin, which hold whatever somebody wrote.
 * @param {Record<string, string>} given
 */
export function tags(given) {
  const all = Object.entries(given);
  if (!all.length) return h("span", { class: "faint" }, "–");
  return h("ul", { class: "tags" }, ...all.map(([name, value]) => h("li", {}, h("span", { class: "faint" }, `${name}=`), value)));
}
