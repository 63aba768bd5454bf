/** The fleet: its numbers, what is coming, what is under way, and its devices as a list. */

import { failure, isAbort, read } from "./api.js";
import { deviceTable } from "./device-table.js";
import { h } from "./dom.js";
import { ExpiryPanel } from "./expiry.js";
import { FilterForm, apiQuery, filterOf, isAnything } from "./filter.js";
import { loading, nothing, stale, trouble } from "./notices.js";
import { underWay } from "./operations.js";
import { Pager } from "./pager.js";
import { patch } from "./patch.js";
import { reasons } from "./reasons.js";
import { RenewalsPanel } from "./renewals.js";
import { fleetHref } from "./router.js";
import { tiles } from "./tiles.js";
import { count } from "./words.js";

/** @typedef {import("./models.js").PageAnswer} Page */
/** @typedef {import("./models.js").SummaryAnswer} Summary */
/** @typedef {import("./models.js").OperationPageAnswer} Operations */

const INTERVAL = 10_000;
const OPERATIONS_LOOKED_AT = 20;

export class FleetView {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    this.title = "Fleet";
    this.filter = filterOf(new URLSearchParams());
    this.form = new FilterForm();
    this.pager = new Pager(() => this.again());
    this.expiry = new ExpiryPanel();
    this.renewals = new RenewalsPanel();
    this.overview = h("section", { "aria-labelledby": "view-title" }, loading("the numbers"));
    this.why = h("section", { class: "panel", "aria-labelledby": "reasons-title" });
    this.panels = h("div", { class: "panels", hidden: true }, this.expiry.element, this.renewals.element, this.why);
    this.work = h("section", { class: "under-way", "aria-labelledby": "under-way-title", hidden: true });
    this.status = h("p", { class: "status", role: "status" });
    this.results = h("div", { class: "results" }, loading("devices"));
    this.pages = h("div");
    this.hasDevices = false;
    /** @type {Summary["snapshot"]} */
    this.snapshot = null;
    this.element = h(
      "div",
      {},
      h("h1", { id: "view-title", tabindex: -1 }, "Fleet"),
      this.overview,
      this.panels,
      this.work,
      h(
        "section",
        { class: "panel list", "aria-labelledby": "devices-title" },
        h("h2", { id: "devices-title" }, "Devices"),
        this.form.element,
        this.status,
        this.results,
        this.pages,
      ),
    );
  }

  /** @param {import("./router.js").Place} place */
  show(place) {
    this.filter = filterOf(place.query);
    this.form.show(this.filter);
    this.pager.reset();
    if (this.snapshot) this.showNumbers(this.snapshot);
    this.again();
  }

  again() {
    this.results.setAttribute("aria-busy", "true");
    void this.app.live.follow((signal) => this.load(signal), () => INTERVAL);
  }

  /** @param {AbortSignal} signal */
  async load(signal) {
    const parts = [this.loadNumbers(signal), this.loadDevices(signal), this.loadWork(signal)];
    const failed = (await Promise.allSettled(parts)).find((part) => part.status === "rejected");
    if (failed) throw failed.reason;
  }

  /** @param {AbortSignal} signal */
  async loadNumbers(signal) {
    try {
      const { snapshot } = /** @type {Summary} */ (await read(["fleet", "summary"], {}, signal));
      this.snapshot = snapshot;
      if (snapshot) this.showNumbers(snapshot);
      else patch(this.overview, nothing("Not counted yet", "The first count of the fleet is on its way; the list below is live."));
    } catch (error) {
      if (isAbort(error)) throw error;
      if (!this.snapshot) patch(this.overview, trouble("the numbers", failure(error), () => this.again()));
      throw error;
    }
  }

  /** @param {import("./models.js").SnapshotAnswer} snapshot */
  showNumbers(snapshot) {
    patch(this.overview, ...tiles(snapshot, this.filter.state));
    this.panels.hidden = snapshot.total === 0;
    if (snapshot.total === 0) return;
    patch(this.why, ...reasons(snapshot));
    void this.expiry.show(snapshot);
    void this.renewals.show(snapshot);
  }

  /** @param {AbortSignal} signal */
  async loadDevices(signal) {
    const query = { ...apiQuery(this.filter, Date.now()), limit: this.pager.limit, cursor: this.pager.cursor };
    try {
      this.showDevices(/** @type {Page} */ (await read(["devices"], query, signal)));
    } catch (error) {
      if (isAbort(error)) throw error;
      this.showTrouble(failure(error));
      throw error;
    } finally {
      if (!signal.aborted) this.results.removeAttribute("aria-busy");
    }
  }

  /** @param {Page} page */
  showDevices(page) {
    this.pager.show(page);
    this.hasDevices = page.devices.length > 0;
    patch(this.results, this.hasDevices ? deviceTable(page.devices) : this.nobody(page));
    const isOnlyPage = this.pager.page === 1 && !page.cursor && page.devices.length <= 25;
    patch(this.pages, ...(isOnlyPage ? [] : [this.pager.element()]));
    this.status.textContent = this.told(page);
  }

  /** @param {Page} page */
  told({ devices, cursor, partial }) {
    if (!devices.length && !cursor) return this.pager.page > 1 ? "No more devices." : "";
    const more = partial ? " Only a part of the fleet was looked at so far." : cursor ? " More on the next page." : "";
    return `${count(devices.length, "device")}${isAnything(this.filter) ? "" : " that fit"}.${more}`;
  }

  /** @param {Page} page */
  nobody(page) {
    if (page.partial) return nothing("Nothing found so far", "Only a part of the fleet was looked at: search on.");
    if (this.pager.page > 1) return nothing("No more devices", "The list ends before this page.");
    if (!isAnything(this.filter)) {
      return nothing("No device fits", h("a", { href: fleetHref() }, "Show all devices"), " or change the filter.");
    }
    return nothing("No devices yet", "A device appears here as soon as it registers with DPS, or its twin reports a certificate.");
  }

  /** @param {import("./api.js").ApiError} error */
  showTrouble(error) {
    const again = () => this.again();
    const [first] = this.results.children;
    if (!this.hasDevices || error.status === 403) {
      patch(this.results, trouble("devices", error, again));
      patch(this.pages);
      this.status.textContent = "";
    } else if (first && !first.classList.contains("notice")) {
      this.results.prepend(stale(error, again));
    }
  }

  /** @param {AbortSignal} signal */
  async loadWork(signal) {
    const query = { limit: OPERATIONS_LOOKED_AT };
    const { operations } = /** @type {Operations} */ (await read(["operations"], query, signal));
    const running = operations.filter(({ state }) => state === "running");
    this.work.hidden = !running.length;
    patch(this.work, ...(running.length ? underWay(running) : []));
  }

  close() {
    this.form.close();
    this.expiry.close();
    this.renewals.close();
  }
}
