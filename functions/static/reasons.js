/** Why devices are as they are: the commonest reasons. */

import { h, s } from "./dom.js";
import { whole, words } from "./words.js";

/** @param {import("./models.js").SnapshotAnswer} snapshot */
export function reasons(snapshot) {
  const most = Math.max(1, ...snapshot.topReasons.map(({ count }) => count));
  const rows = snapshot.topReasons.map(({ reason, count }) => {
    const bar = s("rect", { width: (100 * count) / most, height: 4, rx: 2 });
    return h(
      "tr",
      { "data-key": reason },
      h(
        "th",
        { scope: "row" },
        words(reason),
        s("svg", { class: "meter", viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" }, bar),
      ),
      h("td", { class: "number" }, whole(count)),
    );
  });
  const head = h("tr", {}, h("th", { scope: "col" }, "Reason"), h("th", { scope: "col", class: "number" }, "Devices"));
  return [
    h("h2", { id: "reasons-title" }, "Why they are so"),
    h("table", { class: "numbers" }, h("thead", {}, head), h("tbody", {}, ...rows)),
  ];
}
