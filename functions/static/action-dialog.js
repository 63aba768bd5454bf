/** Asks what an action needs (a reason, and for grave ones the id typed again), sends it, and shows a refusal. */

import { failure, send } from "./api.js";
import { h } from "./dom.js";
import { told } from "./notices.js";

/** @typedef {import("./actions.js").Action} Action */

/**
 * @param {Action} action
 * @param {string} id of the device or the operation
 * @param {import("./app.js").App} app
 * @returns {Promise<unknown>} what the API answered; null where it was thought better of
 */
export function ask(action, id, app) {
  return new Promise((resolve) => new ActionDialog(action, id, app, resolve).open());
}

class ActionDialog {
  /**
   * @param {Action} action
   * @param {string} id
   * @param {import("./app.js").App} app
   * @param {(answer: unknown) => void} resolve
   */
  constructor(action, id, app, resolve) {
    this.action = action;
    this.id = id;
    this.app = app;
    this.resolve = resolve;
    /** @type {unknown} */
    this.answer = null;
    this.key = crypto.randomUUID();
    this.reason = new Field("reason", "Reason", "It is kept in the history.", h("input", { maxlength: 256 }));
    this.typed = action.typed ? new Field("typed", "Type the device id to confirm", id, h("input", { spellcheck: "false" })) : null;
    this.pem = action.takesPem ? h("textarea", { id: "action-pem", rows: 5, spellcheck: "false" }) : null;
    this.trouble = h("div", { role: "alert" });
    this.submit = h("button", { class: action.tone ?? "primary" }, action.submit);
    this.element = this.build();
  }

  build() {
    const { title, says } = this.action;
    const cancel = h("button", { type: "button", class: "quiet", onclick: () => this.element.close() }, "Back");
    const form = h(
      "form",
      { novalidate: true, onsubmit: (/** @type {Event} */ event) => void this.sent(event) },
      h("h2", { id: "action-title" }, title(this.id)),
      h("p", { id: "action-says" }, says),
      this.reason.element,
      this.typed?.element,
      this.pem && pemField(this.pem),
      this.trouble,
      h("div", { class: "buttons" }, cancel, this.submit),
    );
    const names = { "aria-labelledby": "action-title", "aria-describedby": "action-says" };
    return h("dialog", { ...names, onclose: () => this.closed() }, form);
  }

  open() {
    document.body.append(this.element);
    this.element.showModal();
    this.reason.control.focus();
  }

  closed() {
    this.element.remove();
    this.resolve(this.answer);
  }

  /** @param {Event} event */
  async sent(event) {
    event.preventDefault();
    if (this.submit.getAttribute("aria-busy") || !this.isComplete()) return;
    this.submit.setAttribute("aria-busy", "true");
    this.trouble.replaceChildren();
    try {
      this.answer = await send(this.action.path(this.id), this.body(), this.key);
      this.element.close();
      this.app.announce(this.action.done);
    } catch (error) {
      this.refused(failure(error));
    } finally {
      this.submit.removeAttribute("aria-busy");
    }
  }

  isComplete() {
    const missing = [
      this.reason.says(this.reason.value ? "" : "Say why: the history keeps it."),
      this.typed?.says(this.typed.value === this.id ? "" : "This is not the device's id."),
    ].find(Boolean);
    missing?.control.focus();
    return !missing;
  }

  body() {
    const pem = this.pem?.value.trim();
    return { reason: this.reason.value, ...(pem ? { onboardingPem: pem } : {}) };
  }

  /**
   * The same request may be sent again with the same key, unless it was answered for good: then the next is another.
   * @param {import("./api.js").ApiError} error
   */
  refused(error) {
    if (error.status >= 400 && error.status < 500 && error.kind !== "in-flight") this.key = crypto.randomUUID();
    if (error.status === 403 && this.action.role) this.app.lacks(this.action.role);
    this.trouble.replaceChildren(h("p", { class: "trouble", "data-problem": error.kind }, told(error)));
  }
}

/** A labelled input, what helps to fill it, and what is wrong with it. */
class Field {
  /**
   * @param {string} name
   * @param {string} label
   * @param {string} hint
   * @param {HTMLInputElement} control
   */
  constructor(name, label, hint, control) {
    this.control = control;
    this.wrong = h("p", { id: `action-${name}-wrong`, class: "trouble" });
    control.id = `action-${name}`;
    control.required = true;
    control.autocomplete = "off";
    control.setAttribute("aria-describedby", `action-${name}-hint action-${name}-wrong`);
    const help = h("p", { id: `action-${name}-hint`, class: name === "typed" ? "note id" : "note" }, hint);
    this.element = h("div", { class: "field" }, h("label", { for: control.id }, label), help, control, this.wrong);
  }

  get value() {
    return this.control.value.trim();
  }

  /**
   * @param {string} wrong "": nothing
   * @returns {Field | null} this field where something is
   */
  says(wrong) {
    this.wrong.textContent = wrong;
    this.control.setAttribute("aria-invalid", String(Boolean(wrong)));
    return wrong ? this : null;
  }
}

/** @param {HTMLTextAreaElement} control */
function pemField(control) {
  return h(
    "details",
    {},
    h("summary", {}, "The device's onboarding certificate, where fleetcert does not know it"),
    h("p", { class: "note" }, "DPS can only be sure to refuse a credential that is known. Give the certificate, never its key."),
    h("div", { class: "field" }, h("label", { for: control.id }, "Certificate (PEM)"), control),
  );
}
