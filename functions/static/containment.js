/** What is being done to a device: how far it is shut out, and the command that is on its way. */

import { h } from "./dom.js";
import { instant } from "./instants.js";
import { icon } from "./icons.js";
import { words } from "./words.js";

/** @typedef {import("./models.js").DeviceAnswer} Device */
/** @typedef {{ done: boolean, label: string, at?: string | null, doubt?: boolean }} Step */

/** @param {Device} device */
export function containmentPanel({ containment }) {
  if (!containment) return [];
  const { requestedBy, requestedAt, reason, hubDisabledAt, block, disconnectedAt, refusedAt } = containment;
  const doubted = block === "blocked-unverified";
  /** @type {Step[]} */
  const steps = [
    { done: true, label: `Asked for by ${requestedBy}`, at: requestedAt },
    { done: hubDisabledAt !== null, label: "Its identity in IoT Hub is disabled", at: hubDisabledAt },
    { done: block !== null, label: doubted ? "DPS is told to refuse it; whether it does is not certain" : "DPS refuses it", doubt: doubted },
    { done: disconnectedAt !== null, label: "Its connection was seen gone", at: disconnectedAt },
    { done: refusedAt !== null, label: "An attempt of it was seen refused", at: refusedAt },
  ];
  const verdict = containment.isVerified ? "Shut out" : "Being shut out";
  return [
    h(
      "section",
      { class: "panel tone-disabled", "data-key": "containment", "aria-labelledby": "containment-title" },
      h("h2", { id: "containment-title" }, verdict),
      h("p", { class: "quote" }, reason),
      h("ol", { class: "steps" }, ...steps.map(step)),
    ),
  ];
}

/** @param {Step} step */
function step({ done, label, at, doubt }) {
  const tone = doubt ? "overdue" : done ? "valid" : "waiting";
  return h(
    "li",
    { class: `step tone-${tone}` },
    icon(tone),
    h("span", {}, label, !done && h("span", { class: "faint" }, " (not yet)")),
    at ? instant(at) : null,
  );
}

/** @param {Device} device */
export function commandPanel({ command, attempts }) {
  if (!command) return [];
  /** @type {[string, import("./dom.js").Child][]} */
  const facts = [
    ["Why", words(command.reason)],
    ["Attempt", `${command.attempt}${attempts > command.attempt ? ` of ${attempts}` : ""}`],
    ["Sent", command.sentAt ? instant(command.sentAt) : "not yet: it is queued"],
    ["Given up", instant(command.expiresAt)],
    ["Id", h("span", { class: "id" }, command.id)],
  ];
  return [
    h(
      "section",
      { class: "panel", "data-key": "command", "aria-labelledby": "command-title" },
      h("h2", { id: "command-title" }, "Renewal command"),
      h("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    ),
  ];
}
