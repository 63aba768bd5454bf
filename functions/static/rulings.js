/** What operators have ruled for the whole fleet: said above every place for as long as it stands. */

import { read } from "./api.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { instant } from "./instants.js";
import { patch } from "./patch.js";
import { count } from "./words.js";

/** @typedef {import("./models.js").RulingsAnswer} Rulings */
/** @typedef {import("./models.js").PauseAnswer} Pause */
/** @typedef {import("./models.js").SuppressionAnswer} Suppression */
/** @typedef {{ until: string, actor: { name: string }, reason: string }} Ruled */

/** However often a place asks for its own: a ruling takes half a minute to be heeded anyway. */
const INTERVAL = 10_000;
const EVERY = "*";

export class RulingsBanner {
  /** @param {HTMLElement} place stays where it is, so that what comes into it is heard */
  constructor(place) {
    this.place = place;
    this.askedAt = -INTERVAL;
  }

  /**
   * Asks what stands, unless that was asked a moment ago.
   * @param {AbortSignal} signal
   */
  async load(signal) {
    if (performance.now() - this.askedAt < INTERVAL) return;
    this.show(/** @type {Rulings} */ (await read(["fleet", "rulings"], {}, signal)));
    this.askedAt = performance.now();
  }

  /** @param {Rulings} rulings */
  show({ pauses, suppressions }) {
    const told = [...pausesTold(pauses), ...suppressionsTold(suppressions)];
    patch(this.place, ...(told.length ? [banner(told, pauses, suppressions)] : []));
  }
}

/**
 * @param {HTMLElement[]} told
 * @param {Pause[]} pauses
 * @param {Suppression[]} suppressions
 */
function banner(told, pauses, suppressions) {
  return h(
    "section",
    { class: "rulings", "aria-label": "What operators have ruled" },
    ...told,
    h(
      "details",
      {},
      h("summary", {}, "Who ruled what, and why"),
      h("ul", {}, ...pauses.map(pauseLine), ...suppressions.map(suppressionLine)),
      h("p", { class: "note" }, "The commands ", h("code", {}, "fleetcert fleet resume"), " and ", h("code", {}, "fleetcert fleet lift"), " end them early."),
    ),
  );
}

/** @param {Pause[]} pauses */
function pausesTold(pauses) {
  const ofFleet = pauses.filter(({ tag }) => !tag);
  const ofTags = pauses.filter(({ tag }) => tag);
  const told = ofFleet.map((pause) => line("pause", "Renewal commands are paused ", ...ruled(pause)));
  const [first, ...others] = ofTags;
  if (first && !others.length) told.push(line("tag", `Renewal commands for devices with ${first.tag} are paused `, ...ruled(first)));
  if (first && others.length) told.push(line("tag", `Renewal commands for devices with one of ${count(ofTags.length, "tag")} are paused.`));
  return told;
}

/** @param {Suppression[]} suppressions */
function suppressionsTold(suppressions) {
  if (!suppressions.length) return [];
  const kinds = new Set(suppressions.map(({ alertType }) => alertType));
  const whose = suppressions.some(({ device }) => device === EVERY) ? "" : " for some devices";
  if (kinds.has(EVERY)) return [line("alerts", `Alerts of every kind are suppressed${whose}, but for those about containment.`)];
  return [line("alerts", `${count(kinds.size, "kind")} of alerts ${kinds.size === 1 ? "is" : "are"} suppressed${whose}.`)];
}

/**
 * @param {string} key
 * @param {...import("./dom.js").Child} says
 */
function line(key, ...says) {
  return h("p", { class: "ruling", "data-key": key }, icon("waiting"), h("span", {}, ...says));
}

/** @param {Ruled} ruling */
function ruled({ until, actor, reason }) {
  return ["until ", instant(until), ` by ${actor.name}: ${reason}`];
}

/** @param {Pause} pause */
function pauseLine(pause) {
  const what = pause.tag ? `Renewal commands for devices with ${pause.tag}: paused ` : "Renewal commands of the fleet: paused ";
  return h("li", { "data-key": pause.id }, what, ...ruled(pause), " (ruled ", instant(pause.ruledAt), ")");
}

/** @param {Suppression} suppression */
function suppressionLine(suppression) {
  const { id, alertType, device, ruledAt } = suppression;
  const alerts = alertType === EVERY ? "Alerts of every kind" : alertType;
  const what = `${alerts} for ${device === EVERY ? "every device" : device}: suppressed `;
  return h("li", { "data-key": id }, what, ...ruled(suppression), " (", h("code", {}, id), ", ruled ", instant(ruledAt), ")");
}
