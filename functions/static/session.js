/**
 * Who looks at this page. App Service Authentication keeps the session in a cookie that scripts cannot read; locally the
 * functions host plays its part. The API tells who it takes the caller for, and with which roles.
 */

import { ApiError, read } from "./api.js";

/** @typedef {import("./models.js").MeAnswer} Me */

export const ROLES = /** @type {const} */ ({
  READ: "Fleet.Read",
  RENEW: "Certificates.Renew",
  CONTAIN: "Devices.Contain",
});

const LOGIN = "/.auth/login/aad?post_login_redirect_uri=/api/dashboard";
const LOGOUT = "/.auth/logout";
const TRIED = "fleetcert.sign-in";
const PLACE = "fleetcert.place";

/** @returns {Promise<Me>} */
export async function whoAmI() {
  const me = /** @type {Me} */ (await read(["me"]));
  sessionStorage.removeItem(TRIED);
  return me;
}

/**
 * Whether a failure means that nobody is signed in.
 * @param {unknown} error
 */
export function isSignedOut(error) {
  return error instanceof ApiError && error.status === 401;
}

/** Whether the browser has just been at the login, or at the logout: to go there again would not end. */
export function hasTried() {
  return sessionStorage.getItem(TRIED) !== null;
}

/** Leaves for the login, and comes back to the place that is looked at now. */
export function signIn() {
  sessionStorage.setItem(TRIED, "1");
  sessionStorage.setItem(PLACE, location.hash);
  location.assign(LOGIN);
}

/** Ends the session. */
export function signOut() {
  sessionStorage.setItem(TRIED, "1");
  sessionStorage.removeItem(PLACE);
  location.assign(LOGOUT);
}

/** Goes on where the login interrupted. */
export function resumePlace() {
  const place = sessionStorage.getItem(PLACE);
  sessionStorage.removeItem(PLACE);
  if (place && !location.hash) location.replace(place);
}
