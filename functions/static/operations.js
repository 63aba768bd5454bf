/** Long work: what is under way, what has ended, and how. */

import { failure, isAbort, read } from "./api.js";
import { ask } from "./action-dialog.js";
import { CANCEL } from "./actions.js";
import { h } from "./dom.js";
import { instant } from "./instants.js";
import { icon } from "./icons.js";
import { loading, nothing, stale, trouble } from "./notices.js";
import { patch } from "./patch.js";
import { OPERATIONS_HREF, deviceHref } from "./router.js";
import { ROLES } from "./session.js";
import { whole, words } from "./words.js";

/** @typedef {import("./models.js").OperationAnswer} Operation */
/** @typedef {import("./models.js").OperationPageAnswer} Page */

const INTERVAL = 5_000;
const LIMIT = 25;
/** A file of more is given in parts alone, which a link cannot ask for. */
const LINKED_BYTES = 8 * 2 ** 20;

/** Who may start a kind of operation may cancel it. @type {Record<string, string>} */
const MAY_CANCEL = { "bulk-renew": ROLES.RENEW, "bulk-disable": ROLES.CONTAIN, export: ROLES.READ };
/** @type {Record<string, import("./icons.js").Icon>} */
const TONES = { running: "due", done: "valid", cancelled: "retired", failed: "expired" };

/**
 * What is under way, for the fleet's page.
 * @param {Operation[]} running
 */
export function underWay(running) {
  return [
    h("h2", { id: "under-way-title" }, "Under way"),
    h(
      "ul",
      {},
      ...running.map((operation) => h("li", { "data-key": operation.id }, title(operation), progress(operation), by(operation))),
    ),
    h("a", { href: OPERATIONS_HREF }, "All operations"),
  ];
}

export class OperationsView {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    this.title = "Operations";
    /** @type {(string | null)[]} */
    this.cursors = [null];
    this.results = h("div", { class: "results" }, loading("operations"));
    this.pages = h("div");
    this.hasAny = false;
    this.element = h(
      "div",
      {},
      h("h1", { id: "view-title", tabindex: -1 }, "Operations"),
      h("section", { class: "panel list", "aria-labelledby": "view-title" }, this.results, this.pages),
    );
  }

  show() {
    void this.app.live.follow((signal) => this.load(signal), () => INTERVAL);
  }

  /** @param {AbortSignal} signal */
  async load(signal) {
    try {
      const query = { limit: LIMIT, cursor: this.cursors.at(-1) };
      this.showPage(/** @type {Page} */ (await read(["operations"], query, signal)));
    } catch (error) {
      if (!isAbort(error)) this.showTrouble(failure(error));
      throw error;
    }
  }

  /** @param {Page} page */
  showPage({ operations, cursor }) {
    this.hasAny = operations.length > 0;
    patch(this.results, this.hasAny ? this.table(operations) : nothing("No operations", "Bulk requests and exports appear here."));
    const back = this.cursors.length > 1 && h("button", { type: "button", onclick: () => this.turn(null) }, "Newest");
    const onward = cursor && h("button", { type: "button", onclick: () => this.turn(cursor) }, "Older");
    patch(this.pages, ...(back || onward ? [h("nav", { class: "pager", "aria-label": "Pages of operations" }, back, onward)] : []));
  }

  /** @param {string | null} cursor null: to the newest */
  turn(cursor) {
    this.cursors = cursor ? [...this.cursors, cursor] : [null];
    this.show();
  }

  /** @param {import("./api.js").ApiError} error */
  showTrouble(error) {
    const [first] = this.results.children;
    if (!this.hasAny || error.status === 403) patch(this.results, trouble("operations", error, () => this.show()));
    else if (first && !first.classList.contains("notice")) this.results.prepend(stale(error, () => this.show()));
  }

  /** @param {Operation[]} operations */
  table(operations) {
    const head = ["Operation", "State", "Progress"].map((label) => h("th", { scope: "col" }, label));
    return h(
      "table",
      { class: "operations" },
      h("caption", { class: "unseen" }, "Operations, the newest first"),
      h("thead", {}, h("tr", {}, ...head)),
      h("tbody", {}, ...operations.map((operation) => this.row(operation))),
    );
  }

  /** @param {Operation} operation */
  row(operation) {
    const tone = TONES[operation.state] ?? "unknown";
    return h(
      "tr",
      { "data-key": operation.id },
      h("th", { scope: "row" }, title(operation), by(operation), details(operation)),
      h("td", {}, h("span", { class: `badge tone-${tone}` }, icon(tone), words(operation.state))),
      h("td", {}, progress(operation), this.button(operation)),
    );
  }

  /** @param {Operation} operation */
  button(operation) {
    const may = this.app.may(MAY_CANCEL[operation.kind] ?? "");
    if (operation.state !== "running" || operation.cancellation || !may) return null;
    const cancel = async () => {
      if (await ask(CANCEL, operation.id, this.app)) await this.app.live.now();
    };
    return h("button", { type: "button", class: "quiet", onclick: cancel }, "Cancel");
  }

  close() {}
}

/** @param {Operation} operation */
function title({ kind }) {
  return h("span", { class: "operation-title" }, words(kind));
}

/** @param {Operation} operation */
function by({ actor, createdAt, reason }) {
  return h("p", { class: "note" }, `${actor.name}, `, instant(createdAt), `: ${reason}`);
}

/** @param {Operation} operation */
function progress({ kind, state, total, done, failed, cancellation, problem }) {
  const ended = done + failed;
  const counts = `${whole(ended)}${total === null ? "" : ` of ${whole(total)}`}${failed ? `, ${whole(failed)} failed` : ""}`;
  const bar = { "aria-label": `${words(kind)}: progress`, max: total ?? null, value: total === null ? null : ended };
  const waits = cancellation && state === "running" ? "It is being cancelled." : problem;
  return h(
    "div",
    { class: "progress" },
    state === "running" && h("progress", bar),
    h("span", {}, counts),
    waits && h("p", { class: "note" }, waits),
  );
}

/** @param {Operation} operation */
function details(operation) {
  const { id, parameters, failures, result } = operation;
  const facts = Object.entries({ id, ...parameters, ...result }).map(([name, value]) => [h("dt", {}, words(name)), h("dd", {}, value)]);
  return h(
    "details",
    {},
    h("summary", {}, failures.length ? `Details and ${failures.length} of the failures` : "Details"),
    h("dl", { class: "facts" }, ...facts.flat()),
    failures.length > 0 && h("ul", { class: "failures" }, ...failures.map(failed)),
    file(operation),
  );
}

/** @param {import("./models.js").FailureAnswer} failure */
function failed({ deviceId, reason }) {
  return h("li", {}, h("a", { class: "id", href: deviceHref(deviceId) }, deviceId), `: ${reason}`);
}

/** @param {Operation} operation */
function file({ id, kind, state, result }) {
  if (kind !== "export" || state !== "done") return null;
  if (Number(result.bytes) > LINKED_BYTES) return h("p", { class: "note" }, "The file is large: fetch it with `fleetcert fleet export`.");
  return h("a", { href: `/api/operations/${encodeURIComponent(id)}/content`, download: true }, "Download the file");
}
