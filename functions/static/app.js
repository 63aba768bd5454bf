/** The page: who looks, where they are, and what keeps it up to date. */

import { ApiError, failure } from "./api.js";
import { DeviceView } from "./device.js";
import { h } from "./dom.js";
import { FleetView } from "./fleet.js";
import { tick, written } from "./instants.js";
import { Live } from "./live.js";
import { nothing, trouble } from "./notices.js";
import { OperationsView } from "./operations.js";
import { patch } from "./patch.js";
import { OPERATIONS_HREF, fleetHref, placeOf } from "./router.js";
import { RulingsBanner } from "./rulings.js";
import { ROLES, hasTried, isSignedOut, resumePlace, signIn, signOut, whoAmI } from "./session.js";

/** @typedef {import("./router.js").Place} Place */
/** @typedef {{ title: string, element: HTMLElement, show: (place: Place) => void, close: () => void }} View */

const SECOND = 1000;

/** @param {string} id */
function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

export class App {
  /** @param {import("./models.js").MeAnswer} me */
  constructor(me) {
    this.me = me;
    this.main = byId("main");
    this.rulings = new RulingsBanner(byId("rulings"));
    this.live = new Live((state) => this.showLive(state), (signal) => this.loadRulings(signal));
    /** @type {View | null} */
    this.view = null;
    this.shown = "";
    /** What the API has refused since the roles were read. @type {Set<string>} */
    this.lost = new Set();
  }

  start() {
    patch(byId("who"), ...who(this.me));
    byId("skip").onclick = (event) => this.skip(event);
    foldsAway(byId("who"));
    byId("live").onclick = () => this.live.pause(!this.live.state.paused);
    window.addEventListener("hashchange", () => this.go());
    window.setInterval(tick, SECOND);
    document.body.dataset.ready = "true";
    this.go();
  }

  /** @param {string} role */
  may(role) {
    return this.me.roles.includes(role) && !this.lost.has(role);
  }

  /**
   * The API has refused what this role opens.
   * @param {string} role
   */
  lacks(role) {
    this.lost.add(role);
  }

  /**
   * Tells who hears the page what has come of what they did.
   * @param {string} text
   */
  announce(text) {
    const place = byId("announcements");
    place.textContent = "";
    window.setTimeout(() => (place.textContent = text), 50);
  }

  /** Shows the place that the address names. */
  go() {
    const place = placeOf(location.hash);
    const wanted = `${place.view}/${place.id ?? ""}`;
    if (wanted !== this.shown) this.change(place, wanted);
    this.view?.show(place);
  }

  /**
   * @param {Place} place
   * @param {string} wanted
   */
  change(place, wanted) {
    const isFirst = this.view === null;
    this.live.stop();
    this.view?.close();
    this.view = this.viewOf(place);
    this.shown = wanted;
    this.main.replaceChildren(this.view.element);
    document.title = `${this.view.title} – fleetcert`;
    for (const link of document.querySelectorAll("nav.places a")) {
      const isHere = link.getAttribute("href") === (place.view === "operations" ? OPERATIONS_HREF : fleetHref());
      link.toggleAttribute("aria-current", isHere);
      if (isHere) link.setAttribute("aria-current", place.id ? "true" : "page");
    }
    if (!isFirst) this.arrive();
  }

  /**
   * The address behind `#` is a place of ours, so that the link cannot lead by itself.
   * @param {Event} event
   */
  skip(event) {
    event.preventDefault();
    this.main.focus();
  }

  /** The reader goes on at the top of what is new. */
  arrive() {
    window.scrollTo(0, 0);
    byId("view-title").focus({ preventScroll: true });
  }

  /**
   * @param {Place} place
   * @returns {View}
   */
  viewOf(place) {
    if (place.view === "device" && place.id) return new DeviceView(this, place.id);
    return place.view === "operations" ? new OperationsView(this) : new FleetView(this);
  }

  /** @param {import("./live.js").LiveState} state */
  showLive({ at, error, paused }) {
    const button = byId("live");
    button.dataset.state = error ? "failing" : paused ? "paused" : "live";
    button.setAttribute("aria-pressed", String(!paused));
    byId("live-word").textContent = error ? "Not up to date" : paused ? "Paused" : "Live";
    byId("live-at").textContent = at ? written(new Date(at).toISOString()).slice(11) : "";
    if (isSignedOut(error)) this.ended();
  }

  /**
   * What stands for the whole fleet concerns every place.
   * @param {AbortSignal} signal
   */
  async loadRulings(signal) {
    if (this.may(ROLES.READ)) await this.rulings.load(signal);
  }

  /** The session has ended: what is on the screen stays until the reader has signed in again. */
  ended() {
    this.live.stop();
    patch(byId("banner"), signInNotice("Your session has ended", "What is shown here grows old until you sign in again."));
  }
}

/**
 * Closes a menu when the reader goes elsewhere.
 * @param {HTMLElement} menu a `details`
 */
function foldsAway(menu) {
  const close = () => menu.removeAttribute("open");
  document.addEventListener("click", (event) => menu.contains(/** @type {Node} */ (event.target)) || close());
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    close();
    menu.querySelector("summary")?.focus();
  });
}

/** @param {import("./models.js").MeAnswer} me */
function who({ name, roles }) {
  return [
    h("summary", {}, h("span", { class: "who-name" }, name)),
    h(
      "div",
      { class: "who-menu" },
      h("p", { class: "who-full" }, name),
      h("p", { class: "note" }, "Your roles"),
      h("ul", {}, ...roles.map((role) => h("li", {}, role))),
      h("button", { type: "button", onclick: signOut }, "Sign out"),
    ),
  ];
}

/**
 * @param {string} title
 * @param {string} says
 */
function signInNotice(title, says) {
  const notice = nothing(title, says);
  notice.setAttribute("role", "alert");
  notice.append(h("button", { type: "button", class: "primary", onclick: signIn }, "Sign in"));
  return notice;
}

/** @param {ApiError} error */
function cannotStart(error) {
  const main = byId("main");
  if (isSignedOut(error) && !hasTried()) return signIn();
  const title = h("h1", { id: "view-title", tabindex: -1 }, "fleetcert");
  const again = () => location.reload();
  const leave = h("button", { type: "button", onclick: signOut }, "Sign in as somebody else");
  if (isSignedOut(error)) main.replaceChildren(title, signInNotice("You are not signed in", "Sign in to see the fleet."));
  else main.replaceChildren(title, trouble("the fleet", error, again), ...(error.status === 403 ? [leave] : []));
  document.body.dataset.ready = "true";
}

resumePlace();
try {
  new App(await whoAmI()).start();
} catch (error) {
  cannotStart(failure(error));
}
