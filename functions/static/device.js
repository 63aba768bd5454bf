/** One device: what it holds, how it stands, what happened to it, and what can be done. */

import { ask } from "./action-dialog.js";
import { actionsFor, obstacleTo } from "./actions.js";
import { failure, isAbort, read } from "./api.js";
import { certificatePanel } from "./certificate.js";
import { commandPanel, containmentPanel, revocationPanel } from "./containment.js";
import { tags } from "./device-table.js";
import { h } from "./dom.js";
import { History } from "./history.js";
import { instant } from "./instants.js";
import { loading, nothing, stale, trouble } from "./notices.js";
import { patch } from "./patch.js";
import { fleetHref } from "./router.js";
import { badge } from "./states.js";
import { words } from "./words.js";

/** @typedef {import("./models.js").DeviceAnswer} Device */
/** @typedef {import("./actions.js").Action} Action */

const INTERVAL = 10_000;
const WHILE_IT_MOVES = 2_000;

export class DeviceView {
  /**
   * @param {import("./app.js").App} app
   * @param {string} id
   */
  constructor(app, id) {
    this.app = app;
    this.id = id;
    this.title = id;
    /** @type {Device | null} */
    this.device = null;
    this.history = new History(id);
    this.head = h("div", { class: "device-state" });
    this.actions = h("div", { class: "actions" });
    this.body = h("div", { class: "device-panels" }, loading("the device"));
    this.element = h(
      "div",
      {},
      h("p", { class: "crumb" }, h("a", { href: fleetHref() }, "Fleet")),
      h("h1", { id: "view-title", tabindex: -1, class: "id" }, id),
      this.head,
      this.actions,
      this.body,
      this.history.element,
    );
  }

  show() {
    void this.app.live.follow((signal) => this.load(signal), () => this.interval());
  }

  interval() {
    const { containment, command, revocation } = this.device ?? {};
    const isContained = containment && (containment.release || !containment.isVerified || !containment.refusedAt);
    return command || isContained || (revocation && !revocation.finishedAt) ? WHILE_IT_MOVES : INTERVAL;
  }

  /** @param {AbortSignal} signal */
  async load(signal) {
    const parts = [this.loadDevice(signal), this.history.load(signal)];
    const failed = (await Promise.allSettled(parts)).find((part) => part.status === "rejected");
    if (failed) throw failed.reason;
  }

  /** @param {AbortSignal} signal */
  async loadDevice(signal) {
    try {
      this.showDevice(/** @type {Device} */ (await read(["devices", this.id], {}, signal)));
    } catch (error) {
      if (isAbort(error)) throw error;
      this.showTrouble(failure(error));
      if (failure(error).status !== 404) throw error;
    }
  }

  /** @param {Device} device */
  showDevice(device) {
    this.device = device;
    this.history.element.hidden = false;
    patch(this.head, badge(device.state), h("span", { class: "beside" }, words(device.reason)));
    this.showActions(device);
    const moves = [...containmentPanel(device), ...revocationPanel(device), ...commandPanel(device)];
    const left = moves.length ? [certificatePanel(device), facts(device)] : [certificatePanel(device)];
    patch(
      this.body,
      h("div", { class: "column", "data-key": "left" }, ...left),
      h("div", { class: "column", "data-key": "right" }, ...(moves.length ? moves : [facts(device)])),
    );
  }

  /** @param {import("./api.js").ApiError} error */
  showTrouble(error) {
    const known = this.device !== null && error.status !== 403;
    const [first] = this.body.children;
    if (error.status === 404) this.gone();
    else if (!known) patch(this.body, trouble("the device", error, () => this.show()));
    else if (first && !first.classList.contains("notice")) this.body.prepend(stale(error, () => this.show()));
  }

  gone() {
    this.device = null;
    this.history.element.hidden = true;
    patch(this.head);
    patch(this.actions);
    patch(this.body, nothing("No such device", "fleetcert has not heard of it. ", h("a", { href: fleetHref() }, "Show the fleet")));
  }

  /** @param {Device} device */
  showActions(device) {
    const offered = actionsFor(device, this.app.me.revocation);
    const may = (/** @type {string} */ role) => this.app.may(role);
    const all = offered.map((action) => ({ action, obstacle: obstacleTo(action, device, may) }));
    patch(
      this.actions,
      h("div", { class: "buttons" }, ...all.map(({ action, obstacle }) => this.button(action, obstacle))),
      h("ul", { class: "obstacles" }, ...all.filter(({ obstacle }) => obstacle).map(told)),
    );
  }

  /**
   * @param {Action} action
   * @param {string | null} obstacle such a button keeps its place and says why it does nothing
   */
  button(action, obstacle) {
    const take = async () => {
      const answer = /** @type {Device | null} */ (await ask(action, this.id, this.app));
      if (answer) this.showDevice(answer);
      else if (this.device) this.showActions(this.device);
      if (answer) await this.app.live.now();
    };
    const off = obstacle ? { "aria-disabled": "true", "aria-describedby": `obstacle-${action.name}` } : {};
    const props = { type: "button", class: action.tone, "data-key": action.name, "data-action": action.name, ...off };
    return h("button", { ...props, onclick: obstacle ? () => {} : () => void take() }, action.label);
  }

  close() {}
}

/** @param {{ action: Action, obstacle: string | null }} refused */
function told({ action, obstacle }) {
  return h("li", { id: `obstacle-${action.name}`, "data-key": action.name }, `${action.label} is not possible: ${obstacle}.`);
}

/** @param {Device} device */
function facts(device) {
  /** @type {[string, import("./dom.js").Child][]} */
  const all = [
    ["Registration id", device.registrationId],
    ["Hub", device.hub],
    ["Enrollment group", device.enrollmentGroup ?? "–"],
    ["Tags", tags(device.tags)],
    ["Onboarding credential", device.onboarding?.thumbprint ?? "not known"],
    ["It ends", instant(device.onboarding?.validUntil ?? null)],
    ["First seen", instant(device.firstSeen)],
    ["Changed", instant(device.updatedAt)],
    ["Next look", instant(device.nextDeadline)],
  ];
  return h(
    "section",
    { class: "panel", "data-key": "facts", "aria-labelledby": "facts-title" },
    h("h2", { id: "facts-title" }, "Device"),
    h("dl", { class: "facts" }, ...all.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
  );
}
