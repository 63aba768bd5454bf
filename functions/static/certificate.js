/** The operational certificate of a device, and where in its life it is. */

import { h, s } from "./dom.js";
import { countdown, instant } from "./instants.js";
import { icon } from "./icons.js";
import { nothing } from "./notices.js";
import { groupOf } from "./states.js";
import { words } from "./words.js";

/** What the evidence is worth. @type {Record<string, string>} */
const EVIDENCE = {
  verified: "it was read, and a trusted issuer has signed it",
  parsed: "it was read; its issuer is not known",
  reported: "the device says so",
  inferred: "the device registered; no certificate was reported",
};

/** @param {import("./models.js").DeviceAnswer} device */
export function certificatePanel({ certificate, state }) {
  const title = h("h2", { id: "certificate-title" }, "Operational certificate");
  const props = { class: "panel", "data-key": "certificate", "aria-labelledby": "certificate-title" };
  if (!certificate) return h("section", props, title, nothing("None is known", "The device has not reported a certificate."));
  const { validFrom, validUntil, evidence, thumbprint, serialNumber, issuer, keyAlgorithm, firstSeen } = certificate;
  const grade = `${words(evidence)}${EVIDENCE[evidence] ? `: ${EVIDENCE[evidence]}` : ""}`;
  /** @type {[string, import("./dom.js").Child][]} */
  const facts = [
    ["Evidence", grade],
    ["Thumbprint", thumbprint ? copyable(thumbprint, "thumbprint") : "–"],
    ["Serial number", serialNumber ? h("span", { class: "id" }, serialNumber) : "–"],
    ["Issuer", issuer ?? "–"],
    ["Key", keyAlgorithm ?? "–"],
    ["First seen", instant(firstSeen)],
  ];
  return h(
    "section",
    props,
    title,
    h("p", { class: "left-big" }, countdown(validUntil)),
    life(validFrom, validUntil, groupOf(state).tone),
    h("p", { class: "ends" }, h("span", {}, "From ", instant(validFrom)), h("span", {}, "until ", instant(validUntil))),
    h("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
  );
}

/**
 * The certificate's life as a band, with a mark where it is now. The words beside it say the same.
 * @param {string} from
 * @param {string} until
 * @param {string} tone
 */
function life(from, until, tone) {
  const [begin, end] = [Date.parse(from), Date.parse(until)];
  const gone = Math.min(100, Math.max(0, (100 * (Date.now() - begin)) / (end - begin)));
  const band = { viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" };
  return s(
    "svg",
    { class: `life large tone-${tone}`, ...band },
    s("rect", { class: "life-left", width: 100, height: 4 }),
    s("rect", { class: "life-gone", width: gone.toFixed(1), height: 4 }),
  );
}

/**
 * @param {string} text
 * @param {string} what
 */
function copyable(text, what) {
  const button = h("button", { type: "button", class: "icon-button", title: `Copy the ${what}` }, icon("copy"));
  button.setAttribute("aria-label", `Copy the ${what}`);
  button.onclick = () => void navigator.clipboard.writeText(text);
  return h("span", { class: "copyable" }, h("span", { class: "id" }, text), button);
}
