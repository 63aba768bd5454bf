/** Names that the API gives, as words for people. */

/**
 * `CertificateCurrent`, `renewalCommanded`, `bulk-disable` as "Certificate current", "Renewal commanded", "Bulk disable".
 * @param {string} name
 */
export function words(name) {
  const parted = name.replace(/-/g, " ").replace(/([a-z0-9])([A-Z])/g, "$1 $2").toLowerCase().replace(/\bdps\b/g, "DPS");
  return parted.charAt(0).toUpperCase() + parted.slice(1);
}

/**
 * A count with its noun: `count(1, "device")`.
 * @param {number} number
 * @param {string} noun
 */
export function count(number, noun) {
  return `${whole(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/**
 * A number as people read it: 12,345.
 * @param {number} number
 */
export function whole(number) {
  return number.toLocaleString("en-US");
}

/**
 * A share in percent; a part that is there is never 0 %, and one that is not all is never 100 %.
 * @param {number} part
 * @param {number} total
 */
export function share(part, total) {
  if (!total || !part) return "0 %";
  const percent = (part / total) * 100;
  if (percent < 1) return "< 1 %";
  return part < total && percent > 99 ? "> 99 %" : `${Math.round(percent)} %`;
}
