/**
 * What can be done to a device or an operation, who may, and what stands in the way. The API decides; this only spares
 * people a refusal.
 *
 * @typedef {import("./models.js").DeviceAnswer} Device
 * @typedef {{
 *   name: string, label: string, tone?: "danger", role: string | null, title: (id: string) => string, says: string,
 *   submit: string, done: string, typed?: boolean, takesPem?: boolean, path: (id: string) => string[],
 *   obstacle?: (device: Device) => string | null,
 * }} Action
 */

import { ROLES } from "./session.js";

/** @type {Action} */
const RENEW = {
  name: "renew",
  label: "Renew",
  role: ROLES.RENEW,
  title: (id) => `Ask ${id} to renew`,
  says: "The device is sent a command to renew its certificate now. Only a new certificate closes the renewal.",
  submit: "Ask to renew",
  done: "The device is asked to renew.",
  path: (id) => ["devices", id, "renew"],
  obstacle: ({ state, certificate }) => {
    if (state === "disabled") return "it is shut out";
    if (state === "retired") return "the hub has no such device any more";
    if (state === "expired") return "its certificate has ended: no command reaches it, it must register with DPS again";
    return certificate ? null : "no certificate of it is known";
  },
};

/** @type {Action} */
const DISABLE = {
  name: "disable",
  label: "Disable",
  tone: "danger",
  role: ROLES.CONTAIN,
  title: (id) => `Shut out ${id}`,
  says:
    "Its identity in IoT Hub is disabled, its connection ends, and DPS refuses to register it. It stays so until it is enabled again.",
  submit: "Disable the device",
  done: "The device is being shut out.",
  typed: true,
  takesPem: true,
  path: (id) => ["devices", id, "disable"],
};

/** @type {Action} */
const ENABLE = {
  name: "enable",
  label: "Enable",
  role: ROLES.CONTAIN,
  title: (id) => `Let ${id} in again`,
  says: "What disabling did is undone, and nothing else. A fresh certificate is expected from the device then.",
  submit: "Enable the device",
  done: "The device is being let in again.",
  path: (id) => ["devices", id, "enable"],
};

/** @type {Action} */
const REVOKE = {
  name: "revoke",
  label: "Revoke",
  tone: "danger",
  role: ROLES.CONTAIN,
  title: (id) => `Revoke the certificates of ${id}`,
  says: "Every certificate that the device was ever issued becomes invalid. It may come back through DPS with a new one.",
  submit: "Revoke the certificates",
  done: "The certificates are being revoked.",
  typed: true,
  path: (id) => ["devices", id, "revoke"],
  obstacle: ({ state, revocation }) => {
    if (state === "retired") return "the hub has no such device any more";
    return revocation && !revocation.finishedAt ? "it is under way" : null;
  },
};

/** @type {Action} */
export const CANCEL = {
  name: "cancel",
  label: "Cancel",
  role: null,
  title: () => "Cancel the operation",
  says: "It ends after what it is at. What it has done stays done.",
  submit: "Cancel the operation",
  done: "The operation is being cancelled.",
  path: (id) => ["operations", id, "cancel"],
};

/**
 * What is offered for a device.
 * @param {Device} device
 * @param {boolean} revocation whether certificates can be revoked here
 * @returns {Action[]}
 */
export function actionsFor(device, revocation) {
  const isOut = device.containment !== null && device.containment.release === null;
  return [RENEW, isOut ? ENABLE : DISABLE, ...(revocation ? [REVOKE] : [])];
}

/**
 * Why an action cannot be taken now, as the end of "Renew is not possible: ..."; null where it can.
 * @param {Action} action
 * @param {Device} device
 * @param {(role: string) => boolean} may
 */
export function obstacleTo(action, device, may) {
  if (action.role && !may(action.role)) return `it needs the role ${action.role}, which you do not have`;
  return action.obstacle?.(device) ?? null;
}
