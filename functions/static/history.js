/** What happened to a device, who did it and why, the newest first. */

import { failure, isAbort, read } from "./api.js";
import { h } from "./dom.js";
import { instant } from "./instants.js";
import { loading, nothing, trouble } from "./notices.js";
import { patch } from "./patch.js";
import { words } from "./words.js";

/** @typedef {import("./models.js").ChangeAnswer} Change */
/** @typedef {import("./models.js").HistoryAnswer} Page */

const LIMIT = 25;

export class History {
  /** @param {string} id the device's */
  constructor(id) {
    this.id = id;
    /** @type {Change[]} */
    this.changes = [];
    /** Asks for what is older than all that is shown. @type {string | null} */
    this.cursor = null;
    this.body = h("div", { class: "results" }, loading("the history"));
    this.element = h(
      "section",
      { class: "panel list", "aria-labelledby": "history-title" },
      h("h2", { id: "history-title" }, "History"),
      this.body,
    );
  }

  /**
   * The newest page, before what is known already.
   * @param {AbortSignal} signal
   */
  async load(signal) {
    try {
      const page = /** @type {Page} */ (await read(["devices", this.id, "history"], { limit: LIMIT }, signal));
      const fresh = new Set(page.changes.map(keyOf));
      const older = this.changes.filter((change) => !fresh.has(keyOf(change)));
      const joins = older.length < this.changes.length; // else more has happened than a page holds
      this.cursor = joins && older.length ? this.cursor : page.cursor;
      this.changes = joins ? [...page.changes, ...older] : page.changes;
      this.show();
    } catch (error) {
      if (isAbort(error)) throw error;
      if (!this.changes.length) patch(this.body, trouble("the history", failure(error), () => void this.load(signal)));
      throw error;
    }
  }

  async more() {
    const query = { limit: LIMIT, cursor: this.cursor };
    const page = /** @type {Page} */ (await read(["devices", this.id, "history"], query));
    this.changes = [...this.changes, ...page.changes];
    this.cursor = page.cursor;
    this.show();
  }

  show() {
    if (!this.changes.length) return patch(this.body, nothing("Nothing yet", "What happens to the device is kept here."));
    const more = h("button", { type: "button", onclick: () => void this.more() }, "Older changes");
    return patch(this.body, table(this.changes), ...(this.cursor ? [h("div", { class: "pager" }, more)] : []));
  }
}

/** @param {Change} change */
function keyOf({ at, eventId }) {
  return `${at}/${eventId}`;
}

/**
 * A narrow window shows its rows one under the other; the roles say that it is a table all the same.
 * @param {Change[]} changes
 */
function table(changes) {
  const head = ["When", "What", "Who", "Why"].map((label) => h("th", { scope: "col", role: "columnheader" }, label));
  return h(
    "table",
    { class: "history", role: "table" },
    h("caption", { class: "unseen" }, "Changes of the device, the newest first"),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...head)),
    h("tbody", { role: "rowgroup" }, ...changes.map(row)),
  );
}

/** @param {Change} change */
function row(change) {
  const details = Object.entries(change.details).map(([name, value]) => h("li", {}, h("span", { class: "faint" }, `${words(name)}: `), value));
  return h(
    "tr",
    { "data-key": keyOf(change), "data-kind": change.kind, role: "row" },
    h("td", { role: "cell" }, instant(change.at)),
    h("th", { scope: "row", role: "rowheader" }, words(change.kind), details.length > 0 && h("ul", { class: "details" }, ...details)),
    h("td", { role: "cell" }, h("span", { title: change.actor.objectId || null }, change.actor.name)),
    h("td", { role: "cell" }, change.reason || h("span", { class: "faint" }, "–")),
  );
}
