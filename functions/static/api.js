/** The HTTP API, called as whoever is signed in. Every failure is an `ApiError` that can be shown as it is. */

const BASE = "/api/";
const PATIENCE = 30_000;

/** What went wrong, in the API's words where it answered. */
export class ApiError extends Error {
  /**
   * @param {number} status 0: nothing answered
   * @param {string} kind the last part of the problem's type
   * @param {string} title
   * @param {string} detail
   * @param {number | null} retryAfter milliseconds
   */
  constructor(status, kind, title, detail, retryAfter = null) {
    super(`${title}: ${detail}`);
    this.status = status;
    this.kind = kind;
    this.title = title;
    this.detail = detail;
    this.retryAfter = retryAfter;
  }
}

/**
 * Reads a resource. Parts of the path are percent-encoded here: a device id may hold any of `%`, `#` and `?`.
 * @template T
 * @param {string[]} path
 * @param {Record<string, string | number | null | undefined>} [query] empty values are left out
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
export async function read(path, query = {}, signal) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return call(`${BASE}${written(path)}${search && `?${search}`}`, { method: "GET" }, signal);
}

/**
 * Asks for a change. A repetition with the same key has one effect.
 * @template T
 * @param {string[]} path
 * @param {object} body
 * @param {string} key
 * @returns {Promise<T>}
 */
export async function send(path, body, key) {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
  return call(`${BASE}${written(path)}`, { method: "POST", headers, body: JSON.stringify(body) });
}

/**
 * A browser takes `.` and `..` for steps in the path, however they are written.
 * @param {string[]} path
 */
function written(path) {
  if (path.some((part) => part === "." || part === "..")) {
    throw new ApiError(0, "no-path", "This id fits no address", "Choose such a device by its id in a bulk request.");
  }
  return path.map(encodeURIComponent).join("/");
}

/**
 * @template T
 * @param {string} url
 * @param {RequestInit} request
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
async function call(url, request, signal) {
  const ends = [AbortSignal.timeout(PATIENCE), ...(signal ? [signal] : [])];
  let answer;
  try {
    answer = await fetch(url, { ...request, signal: AbortSignal.any(ends), redirect: "error", cache: "no-store" });
    if (answer.ok) return /** @type {T} */ (await answer.json());
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "unreachable", "The API does not answer", "The connection failed, or took too long.");
  }
  throw await problem(answer);
}

/**
 * @param {Response} answer
 * @returns {Promise<ApiError>}
 */
async function problem(answer) {
  const after = Number(answer.headers.get("Retry-After"));
  const retryAfter = after > 0 ? after * 1000 : null;
  try {
    const { type, title, detail } = await answer.json();
    const kind = String(type).split(":").at(-1) ?? "";
    return new ApiError(answer.status, kind, String(title), String(detail), retryAfter);
  } catch {
    return new ApiError(answer.status, "", `The API answers ${answer.status}`, "It says no more.", retryAfter);
  }
}

/**
 * Whether a failure is only that nobody waits for the answer any more.
 * @param {unknown} error
 */
export function isAbort(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/**
 * A failure as something to show; what is no failure of the API is a defect of this page, and is thrown on.
 * @param {unknown} error
 * @returns {ApiError}
 */
export function failure(error) {
  if (error instanceof ApiError) return error;
  throw error;
}
