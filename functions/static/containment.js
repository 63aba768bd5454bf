/** What is being done to a device: how far it is shut out or let in, what is revoked, and the command on its way. */

import { h } from "./dom.js";
import { instant } from "./instants.js";
import { icon } from "./icons.js";
import { words } from "./words.js";

/** @typedef {import("./models.js").DeviceAnswer} Device */
/**
 * A step is done where it has an instant. isOptional: it is told only where it is done.
 * @typedef {{ label: string, at: string | null, isOptional?: boolean, isDoubtful?: boolean }} Step
 */

/** @param {Device} device */
export function containmentPanel({ containment }) {
  if (!containment) return [];
  if (containment.release) return [releasePanel(containment.release)];
  const { requestedBy, requestedAt, reason, hubBefore, hubDisabledAt, block, blockedAt, registryBefore, registryDisabledAt } = containment;
  const isDoubtful = block === "blocked-unverified" && !containment.refusedAt;
  /** @type {Step[]} */
  const steps = [
    { label: `Asked for by ${requestedBy}`, at: requestedAt },
    { label: hubBefore === "absent" ? "IoT Hub does not know it" : "Its identity in IoT Hub is disabled", at: hubDisabledAt },
    { label: isDoubtful ? "DPS is told to refuse it; whether it does is not certain" : "DPS is told to refuse it", at: blockedAt, isDoubtful },
    { label: registryBefore === "absent" ? "The ADR namespace does not know it" : "It is disabled in the ADR namespace", at: registryDisabledAt, isOptional: true },
    { label: "Its connection was seen gone", at: containment.disconnectedAt },
    { label: "DPS was seen to let it in all the same", at: containment.passedAt, isOptional: true, isDoubtful: true },
    { label: "An attempt of it was seen refused", at: containment.refusedAt },
  ];
  return [stepsPanel("containment", containment.isVerified ? "Shut out" : "Being shut out", reason, steps)];
}

/** @param {import("./models.js").ReleaseAnswer} release */
function releasePanel({ requestedBy, requestedAt, reason, identityRestoredAt, enrollmentRestoredAt, registryRestoredAt, outcomes }) {
  /** @type {Step[]} */
  const steps = [
    { label: `Asked for by ${requestedBy}`, at: requestedAt },
    { label: "It is as it was in the ADR namespace", at: registryRestoredAt, isOptional: true },
    { label: "DPS is as it was", at: enrollmentRestoredAt },
    { label: "Its identity in IoT Hub is as it was", at: identityRestoredAt },
    ...Object.entries(outcomes).map(([place, outcome]) => ({ label: `${words(place)}: ${outcome}`, at: requestedAt, isDoubtful: true })),
  ];
  return stepsPanel("containment", "Being let in again", reason, steps);
}

/** @param {Device} device */
export function revocationPanel({ revocation }) {
  if (!revocation) return [];
  const { requestedBy, requestedAt, reason, revokedAt, finishedAt, failure } = revocation;
  /** @type {Step[]} */
  const steps = [
    { label: `Asked for by ${requestedBy}`, at: requestedAt },
    failure
      ? { label: `It could not be done: ${failure}`, at: finishedAt, isDoubtful: true }
      : { label: "Every certificate that was issued until then is worthless", at: revokedAt },
  ];
  return [stepsPanel("revocation", "Revocation", reason, steps)];
}

/**
 * @param {string} key
 * @param {string} title
 * @param {string} reason
 * @param {Step[]} steps
 */
function stepsPanel(key, title, reason, steps) {
  const shown = steps.filter(({ at, isOptional }) => at || !isOptional);
  return h(
    "section",
    { class: "panel", "data-key": key, "aria-labelledby": `${key}-title` },
    h("h2", { id: `${key}-title` }, title),
    h("p", { class: "quote" }, reason),
    h("ol", { class: "steps" }, ...shown.map(step)),
  );
}

/** @param {Step} step */
function step({ label, at, isDoubtful }) {
  const tone = !at ? "waiting" : isDoubtful ? "overdue" : "valid";
  return h(
    "li",
    { class: `step tone-${tone}` },
    icon(tone),
    h("span", {}, label, !at && h("span", { class: "faint" }, " (not yet)")),
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
