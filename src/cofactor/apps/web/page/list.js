// The list of suggestions on the screen: rows stay the same elements while they move, and glide to their new places.

import { make, mayMove } from "./elements.js";

const GLIDE_MILLISECONDS = 260;
const BLANKS = 20; // as many as will be there, so that nothing below moves

/** Shows items in an ordered list. */
export class ListView {
  constructor(element, rows) {
    this.element = element;
    this.rows = rows;
    this.byItem = new Map();
  }

  /** Return the items that are shown now. */
  get shown() {
    return new Set(this.byItem.keys());
  }

  /** Show these items. A row that has just been rated here stays in its place, so that the rating can be changed; it
   * goes with the next list. */
  show(items, justRated = null) {
    const focused = document.activeElement;
    this.replace(items, justRated);
    if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
    this.element.setAttribute("aria-busy", "false");
  }

  replace(items, justRated) {
    const wanted = items.map((item) => this.rowOf(item));
    const kept = justRated === null ? null : this.byItem.get(justRated);
    if (kept && !items.some(({ item }) => item === justRated)) {
      wanted.splice([...this.element.children].indexOf(kept), 0, kept);
      this.rows.settle(kept);
    }
    this.byItem = new Map(wanted.map((row) => [row.dataset.item, row]));
    this.arrange(wanted);
  }

  rowOf(item) {
    const row = this.byItem.get(item.item);
    if (!row) return this.rows.row(item);
    this.rows.update(row, item);
    return row;
  }

  /** Put rows in order without moving the one that has the focus, which would lose it. */
  arrange(wanted) {
    for (const row of [...this.element.children]) if (!wanted.includes(row)) row.remove();
    const pivot = Math.max(0, wanted.findIndex((row) => row.contains(document.activeElement)));
    const still = wanted[pivot];
    if (!still) return;
    if (still.parentNode !== this.element) this.element.prepend(still);
    let next = still;
    for (const row of wanted.slice(0, pivot).reverse()) {
      if (next.previousSibling !== row) next.before(row); // a row that is in place costs nothing
      next = row;
    }
    let last = still;
    for (const row of wanted.slice(pivot + 1)) {
      if (last.nextSibling !== row) last.after(row);
      last = row;
    }
  }

  tops() {
    return new Map([...this.byItem].map(([item, row]) => [item, row.getBoundingClientRect().top]));
  }

  /** Return what lets the rows glide from where they are now to where they are then. */
  gliding() {
    const before = mayMove() ? this.tops() : new Map();
    return () => before.size && this.glide([...this.byItem.values()], before);
  }

  glide(rows, before) {
    const heights = rows.map((row) => row.getBoundingClientRect());
    rows.forEach((row, at) => {
      const old = before.get(row.dataset.item);
      const { top, bottom } = heights[at];
      if (bottom < 0 || top > innerHeight) return;
      const shift = old === undefined ? 0 : Math.max(-innerHeight, Math.min(innerHeight, old - top));
      if (old !== undefined && Math.abs(shift) < 1) return;
      const from = old === undefined ? { opacity: 0 } : { transform: `translateY(${shift}px)` };
      row.animate([from, {}], { duration: GLIDE_MILLISECONDS, easing: "cubic-bezier(.2, .7, .2, 1)" });
    });
  }

  /** Show that a list is on its way: empty rows where there is none yet. */
  wait() {
    this.element.setAttribute("aria-busy", "true");
    if (this.element.childElementCount) return;
    const blank = () => make("li", { class: "row is-blank", "aria-hidden": "true" }, make("div", { class: "blank" }));
    this.element.append(...Array.from({ length: BLANKS }, blank));
  }

  /** Show nothing. */
  clear() {
    this.byItem.clear();
    this.element.replaceChildren();
    this.element.setAttribute("aria-busy", "false");
  }
}
