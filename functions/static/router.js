/**
 * Places of this page, in the part of the address behind `#`: it never leaves the browser, so that device ids are in no
 * server's log.
 *
 * @typedef {{ view: string, id: string | null, query: URLSearchParams }} Place
 */

/**
 * The place that an address names: `#/device/pump%23 1`, `#/?state=due`.
 * @param {string} hash
 * @returns {Place}
 */
export function placeOf(hash) {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [view = "", id] = path.split("/", 2);
  return { view: view || "fleet", id: id === undefined ? null : decoded(id), query: new URLSearchParams(search) };
}

/**
 * The address of the fleet, with these filters.
 * @param {Record<string, string>} [query] empty values are left out
 */
export function fleetHref(query = {}) {
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();
  return search ? `#/?${search}` : "#/";
}

/**
 * The address of a device. Its id may hold any of `/`-free IoT Hub's characters, `%`, `#` and `?` among them.
 * @param {string} id
 */
export function deviceHref(id) {
  return `#/device/${encodeURIComponent(id)}`;
}

/** The address of the operations. */
export const OPERATIONS_HREF = "#/operations";

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // typed by hand, and no address that this page has given
  }
}
