/** When certificates end: how many within a day, a week, and so on. */

import { BarChart } from "./bars.js";
import { h } from "./dom.js";
import { patch } from "./patch.js";
import { fleetHref } from "./router.js";
import { whole } from "./words.js";

/**
 * The API's buckets, and what the list is filtered by to see one (`ends`, as `filter.js` has it).
 * @type {{ bucket: string, label: string, says: string, tone: string, ends: string | null }[]}
 */
const BUCKETS = [
  { bucket: "expired", label: "ended", says: "Ended", tone: "expired", ends: "past" },
  { bucket: "1d", label: "≤ 1 d", says: "Within a day", tone: "plain", ends: "1d" },
  { bucket: "7d", label: "≤ 7 d", says: "In 1 to 7 days", tone: "plain", ends: "7d" },
  { bucket: "30d", label: "≤ 30 d", says: "In 7 to 30 days", tone: "plain", ends: "30d" },
  { bucket: "90d", label: "≤ 90 d", says: "In 30 to 90 days", tone: "plain", ends: "90d" },
  { bucket: "later", label: "later", says: "Later than in 90 days", tone: "plain", ends: "later" },
  { bucket: "none", label: "none", says: "No certificate is known", tone: "unknown", ends: null },
];

/** The panel. */
export class ExpiryPanel {
  constructor() {
    this.chart = new BarChart("When certificates end", { numbers: true });
    this.numbers = h("tbody");
    this.element = h(
      "section",
      { class: "panel", "aria-labelledby": "expiry-title" },
      h("h2", { id: "expiry-title" }, "When certificates end"),
      this.chart.element,
      numbersTable("Time left", "Devices", this.numbers),
    );
  }

  /** @param {import("./models.js").SnapshotAnswer} snapshot */
  show(snapshot) {
    const rows = BUCKETS.map(({ bucket, label, says, tone, ends }) => {
      const href = ends ? fleetHref({ ends }) : undefined;
      return { label, tone, hint: says, href, value: snapshot.expiry[bucket] ?? 0 };
    });
    patch(this.numbers, ...rows.map(({ hint, href, value }) => numberRow(hint, value, href)));
    return this.chart.show(rows);
  }

  close() {
    this.chart.close();
  }
}

/**
 * A chart's numbers as a table that opens on demand.
 * @param {string} what
 * @param {string} number
 * @param {HTMLElement} body
 */
export function numbersTable(what, number, body) {
  const head = h("tr", {}, h("th", { scope: "col" }, what), h("th", { scope: "col", class: "number" }, number));
  return h("details", {}, h("summary", {}, "As a table"), h("table", { class: "numbers" }, h("thead", {}, head), body));
}

/**
 * @param {string} label
 * @param {number} value
 * @param {string} [href]
 */
export function numberRow(label, value, href) {
  const text = href ? h("a", { href }, label) : label;
  return h("tr", {}, h("th", { scope: "row" }, text), h("td", { class: "number" }, whole(value)));
}
