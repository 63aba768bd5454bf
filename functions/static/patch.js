/** Brings what is shown up to date in place, so that focus, selection and what is folded open survive a refresh. */

import { handlers, setHandler } from "./dom.js";

/** What the reader has changed is not changed back: what is folded open, typed or chosen. */
const THE_READERS = /** @type {const} */ ({ DETAILS: "open", INPUT: "value", OPTION: "selected" });

/**
 * Makes the children of `parent` those that are wanted. Children are known by their `data-key`, else by their place.
 * @param {Node} parent
 * @param {...Node} wanted
 */
export function patch(parent, ...wanted) {
  const keys = new Set(wanted.map(keyOf).filter(Boolean));
  let next = parent.firstChild;
  for (const node of wanted) {
    next = firstThatStays(parent, next, keys);
    const match = next && isOfAKind(next, node) ? next : keyed(next, node);
    if (match && match === next) next = next.nextSibling;
    else if (match) parent.insertBefore(match, next);
    if (!match) parent.insertBefore(node, next);
    else if (match !== node) update(match, node);
  }
  while (next) next = remove(parent, next);
}

/**
 * Leaves out the children whose keys are not wanted any more, so that those behind them need not be moved.
 * @param {Node} parent
 * @param {ChildNode | null} node
 * @param {Set<string | null>} keys
 * @returns {ChildNode | null}
 */
function firstThatStays(parent, node, keys) {
  let next = node;
  while (next && keyOf(next) && !keys.has(keyOf(next))) next = remove(parent, next);
  return next;
}

/**
 * @param {Node} parent
 * @param {ChildNode} node
 * @returns {ChildNode | null} what stood behind it
 */
function remove(parent, node) {
  const next = node.nextSibling;
  parent.removeChild(node);
  return next;
}

/**
 * @param {ChildNode | null} from
 * @param {Node} wanted
 * @returns {ChildNode | null} the sibling with the wanted node's key, from `from` on
 */
function keyed(from, wanted) {
  if (!keyOf(wanted)) return null;
  for (let node = from; node; node = node.nextSibling) if (isOfAKind(node, wanted)) return node;
  return null;
}

/**
 * @param {Node} node
 * @returns {string | null}
 */
function keyOf(node) {
  return node instanceof Element ? node.getAttribute("data-key") : null;
}

/**
 * @param {Node} a
 * @param {Node} b
 */
function isOfAKind(a, b) {
  return a.nodeName === b.nodeName && keyOf(a) === keyOf(b);
}

/**
 * @param {Node} node
 * @param {Node} wanted
 */
function update(node, wanted) {
  if (node instanceof Element && wanted instanceof Element) {
    updateAttributes(node, wanted);
    updateHandlers(node, wanted);
    patch(node, ...wanted.childNodes);
  } else if (node.nodeValue !== wanted.nodeValue) {
    node.nodeValue = wanted.nodeValue;
  }
}

/**
 * @param {Element} node
 * @param {Element} wanted
 */
function updateAttributes(node, wanted) {
  const left = Reflect.get(THE_READERS, node.tagName);
  for (const name of node.getAttributeNames()) {
    if (!wanted.hasAttribute(name) && name !== left) node.removeAttribute(name);
  }
  for (const name of wanted.getAttributeNames()) {
    const value = wanted.getAttribute(name) ?? "";
    if (node.getAttribute(name) !== value && name !== left) node.setAttribute(name, value);
  }
}

/**
 * @param {Element} node
 * @param {Element} wanted
 */
function updateHandlers(node, wanted) {
  const fresh = handlers.get(wanted) ?? {};
  for (const name of Object.keys({ ...handlers.get(node), ...fresh })) setHandler(node, name, fresh[name] ?? null);
}
