// Elements are made here and nowhere from markup, so that no title or name is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Return an element with attributes, listeners ("onclick": function) and children; null children are left out. */
export function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Return an SVG element likewise. */
export function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

/** Return one of the symbols that the page holds. */
export function icon(name) {
  return drawn("svg", { class: "icon", "aria-hidden": "true" }, drawn("use", { href: `#icon-${name}` }));
}

/** Return the element of an id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Return a text for those who hear the page. */
export function heard(text) {
  return make("span", { class: "hidden" }, text);
}

/** Return a title, isolated, so that its writing direction stays its own. */
export function isolated(text) {
  return make("bdi", {}, text);
}

/** Tell whether things may move. */
export function mayMove() {
  return !matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** Make a change, and keep an element where it is on the screen, to the pixel, whatever the change does above it.
 *
 * The page scrolls by what the element was pushed; where it cannot scroll so far, room is made on top of the list.
 */
export function holdStill(element, change) {
  const frame = byId("list");
  const before = element?.isConnected ? element.getBoundingClientRect().top : null;
  change();
  frame.style.paddingBlockStart = document.body.style.paddingBlockEnd = "";
  if (before === null || !element.isConnected) return;
  const shift = () => element.getBoundingClientRect().top - before;
  const scroll = () => scrollBy({ top: shift(), behavior: "instant" });
  scroll();
  const left = shift();
  if (left < -0.5) frame.style.paddingBlockStart = `${-left}px`;
  if (left > 0.5) {
    document.body.style.paddingBlockEnd = `${left}px`;
    scroll();
  }
}

let touched = null;
for (const kind of ["pointerdown", "keydown"]) {
  document.addEventListener(kind, ({ target }) => (touched = target), { capture: true, passive: true });
}

/** Return what the visitor touched last, by pointer or key, if it is still there and not in a dialog. */
export function lastTouched() {
  return touched?.isConnected && touched.closest?.("main *") ? touched : null;
}
