/** What is coming: on which day how many devices come into their renewal window. */

import { BarChart } from "./bars.js";
import { h } from "./dom.js";
import { numberRow, numbersTable } from "./expiry.js";
import { patch } from "./patch.js";
import { count } from "./words.js";

/** The panel. */
export class RenewalsPanel {
  constructor() {
    this.chart = new BarChart("Renewals ahead, day by day");
    this.numbers = h("tbody");
    this.sum = h("span", { class: "beside" });
    this.element = h(
      "section",
      { class: "panel", "aria-labelledby": "renewals-title" },
      h("h2", { id: "renewals-title" }, "Renewals ahead"),
      this.sum,
      this.chart.element,
      numbersTable("Day (UTC)", "Devices", this.numbers),
    );
  }

  /** @param {import("./models.js").SnapshotAnswer} snapshot */
  show(snapshot) {
    const { renewals } = snapshot;
    const sum = renewals.reduce((total, day) => total + day.count, 0);
    this.sum.textContent = `${count(sum, "device")} in ${count(renewals.length, "day")}`;
    patch(this.numbers, ...renewals.map((day, index) => numberRow(named(day.day, index), day.count)));
    const bars = renewals.map((day, index) => ({ label: short(day.day), value: day.count, hint: named(day.day, index) }));
    return this.chart.show(bars);
  }

  close() {
    this.chart.close();
  }
}

/**
 * @param {string} day ISO 8601
 * @param {number} index
 */
function named(day, index) {
  return index === 0 ? `${day}, today, with those that are open already` : day;
}

/**
 * "24 Nov".
 * @param {string} day ISO 8601
 */
function short(day) {
  return new Date(day).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
}
