// The panel of what the visitor rated, with undo.

import { byId, isolated, make } from "./elements.js";
import { count, shownTitle, starsInWords } from "./words.js";

const FEW = 6;

/** The panel of ratings. */
export class RatedView {
  constructor(ratings, stars, onDetails) {
    Object.assign(this, { ratings, stars, onDetails, all: false, unknown: new Set() });
    byId("undo").addEventListener("click", () => ratings.undo());
    byId("clear").addEventListener("click", () => ratings.clear());
    byId("rated-more").addEventListener("click", () => {
      this.all = !this.all;
      this.show();
    });
  }

  /** Show the ratings. One that was just removed here keeps its row, so that the focus is not lost. */
  show() {
    const { ratings } = this;
    const entries = ratings.newestFirst();
    const list = byId("rated-list");
    const old = new Map([...list.children].map((row) => [row.dataset.item, row]));
    const shown = this.all ? entries : entries.slice(0, FEW);
    const rows = shown.map((entry) => old.get(entry.item) ?? this.row(entry));
    const focused = [...list.children].findIndex((row) => row.contains(document.activeElement));
    if (focused >= 0 && !rows.includes(list.children[focused])) rows.splice(focused, 0, list.children[focused]);
    this.arrange(list, rows);
    for (const row of rows) row.classList.toggle("is-unknown", this.unknown.has(row.dataset.item));
    this.around(entries);
  }

  /** Put rows in order, moving only those that have to: moving the focused one would lose the focus. */
  arrange(list, rows) {
    for (const row of [...list.children]) if (!rows.includes(row)) row.remove();
    rows.forEach((row, at) => {
      if (list.children[at] !== row) list.insertBefore(row, list.children[at] ?? null);
    });
  }

  around(entries) {
    const { ratings } = this;
    for (const id of ["rated-count", "rated-count-jump"]) byId(id).textContent = entries.length || "";
    byId("rated-note").textContent = this.note(entries);
    byId("rated-more").hidden = entries.length <= FEW;
    byId("rated-more").textContent = this.all ? "Show fewer" : `Show all ${entries.length}`;
    byId("clear").hidden = entries.length < 2;
    byId("undo").setAttribute("aria-disabled", String(ratings.last === null));
    byId("undo-what").textContent = ratings.last === null ? "" : `: ${this.lastInWords(ratings.last)}`;
  }

  note(entries) {
    if (!entries.length) return "Nothing yet. Rate a title above, in the list, or by its name.";
    const gone = entries.filter(({ item }) => this.unknown.has(item)).length;
    return gone ? `${count(gone, "title")} of these ${gone === 1 ? "is" : "are"} not in the current model.` : "";
  }

  lastInWords([change, ...more]) {
    if (more.length) return `${count(more.length + 1, "rating")} ${change.after ? "given" : "removed"}`;
    const rated = change.after ? starsInWords(change.after.value, this.stars.scale) : "rating removed";
    return `${shownTitle(change)}, ${rated}`;
  }

  row(entry) {
    const title = make("button", { type: "button", class: "title-button", "aria-haspopup": "dialog" });
    title.append(isolated(shownTitle(entry)));
    title.addEventListener("click", () => this.onDetails(entry));
    return make(
      "li", { "data-item": entry.item },
      make("div", { class: "what" }, make("p", { class: "title" }, title), this.stars.remarkOf(entry)),
      this.stars.of(entry),
    );
  }
}
