/**
 * Builds elements. Whatever a text holds, it stays text: nothing here reads HTML.
 *
 * @typedef {Node | string | number | null | undefined | false} Child
 * @typedef {Record<string, unknown>} Props attributes by name, handlers as `onclick`; false, null, undefined: left out
 */

const SVG = "http://www.w3.org/2000/svg";

/** Which handlers an element was built with, so that `patch` can hand them on. @type {WeakMap<Element, Props>} */
export const handlers = new WeakMap();

/**
 * An element of HTML.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Props} [props]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  return fill(element, props, children);
}

/**
 * An element of SVG.
 * @param {string} tag
 * @param {Props} [props]
 * @param {...(Child | Child[])} children
 * @returns {SVGElement}
 */
export function s(tag, props = {}, ...children) {
  const element = /** @type {SVGElement} */ (document.createElementNS(SVG, tag));
  return fill(element, props, children);
}

/**
 * @template {HTMLElement | SVGElement} E
 * @param {E} element
 * @param {Props} props
 * @param {(Child | Child[])[]} children
 * @returns {E}
 */
function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) setHandler(element, name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) {
      element.append(child instanceof Node ? child : String(child));
    }
  }
  return element;
}

/**
 * @param {Element} element
 * @param {string} name
 * @param {unknown} handler null: none any more
 */
export function setHandler(element, name, handler) {
  Reflect.set(element, name, handler);
  handlers.set(element, { ...handlers.get(element), [name]: handler });
}
