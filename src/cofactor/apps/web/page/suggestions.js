// The list of suggestions: what is asked for, by whose ratings, and what is shown while and when that fails.

import { Failure, ask, queryOf, userPath } from "./api.js";
import { byId, make } from "./elements.js";
import { trueMoves } from "./moves.js";
import { count, listInWords } from "./words.js";

const PAGE = 20;
const LONGEST = 500;

/** Call back when what was changed is on the screen. */
function afterNextFrame(callback) {
  requestAnimationFrame(() => setTimeout(callback));
}

/** Asks for lists and shows them. Of several questions the last one counts. */
export class Suggestions {
  constructor({ ratings, keeper, view, wishes, connection, onList }) {
    Object.assign(this, { ratings, keeper, view, wishes, connection, onList });
    this.length = PAGE;
    this.asked = 0;
    this.before = null;
    this.places = new Map();
    byId("more").addEventListener("click", () => this.lengthen());
  }

  lengthen() {
    this.length = Math.min(LONGEST, this.length + PAGE);
    this.refresh({ quiet: true });
  }

  get wish() {
    return { n: this.length, reasons: 2, ...this.wishes.values };
  }

  /** Ask for the list again. After a rating, `items` are those that it was about, and the moves since are marked. */
  async refresh({ items = null, since = performance.now(), quiet = false } = {}) {
    const question = ++this.asked;
    this.abort?.abort();
    this.abort = new AbortController();
    this.view.wait();
    const list = await this.fetch(items !== null, this.abort.signal).catch((error) => error);
    if (question !== this.asked) return; // a later question will be answered
    if (list instanceof Failure) this.fail(list);
    else if (list instanceof Error) throw list;
    else this.show(list, { items, since, quiet });
  }

  async fetch(afterRating, signal) {
    const { ratings } = this;
    if (ratings.owner === null) return this.forVisitor(afterRating, signal);
    try {
      const list = await this.keeper.send(this.wish);
      return list ?? (await ask(`${userPath(ratings.owner, "recommendations")}?${queryOf(this.wish)}`, { signal }));
    } catch (failure) {
      if (!failure.isStoreAway && failure.status !== 401) throw failure;
      this.connection.storeFailed(failure);
      return this.forVisitor(afterRating, signal); // what could not be stored counts all the same
    }
  }

  forVisitor(afterRating, signal) {
    const ratings = this.ratings.sent();
    const before = afterRating && this.before ? { before: this.before } : {};
    return ask("/v1/recommendations", { method: "POST", body: { ratings, ...before, ...this.wish }, signal });
  }

  show(list, { items, since, quiet }) {
    const shownBefore = this.view.shown;
    const isFirst = this.before === null;
    const shownItems = trueMoves(list.items, items ?? [], this.places);
    this.before = this.ratings.sent();
    this.places = new Map(shownItems.map(({ item, position }) => [item, position]));
    this.view.show(shownItems, items?.length === 1 && this.ratings.get(items[0]) ? items[0] : null);
    byId("more").hidden = list.items.length < this.length || this.length >= LONGEST;
    this.title(list);
    this.state(list.items.length ? null : this.nothingLeft());
    this.connection.works(list);
    if (!isFirst && !quiet) byId("announcement").textContent = listInWords(shownItems, shownBefore);
    if (items) afterNextFrame(() => performance.measure("from rating to list", { start: since }));
    this.onList(list, items);
  }

  title(list) {
    const { owner, size } = this.ratings;
    byId("suggestions-title").textContent = list.popular ? "Popular" : owner === null ? "For you" : `For ${owner}`;
    byId("suggestions-note").textContent = this.note(list, size);
  }

  note(list, size) {
    if (!list.popular) return `From ${count(size, "rating")} of yours; each new one changes the list at once.`;
    if (!size) return "What most people rated. Rate two, and the list becomes yours.";
    const { scale } = this.wishes;
    const hint = scale?.liked_from ? ` It learns from what you like: ${scale.liked_from} stars or more.` : "";
    return `Still what most people rated.${hint}`;
  }

  nothingLeft() {
    if (!this.wishes.isNarrow) return make("div", { class: "state" }, make("p", {}, "You have rated all there is."));
    const reset = make("button", { type: "button", class: "main-button" }, "Show everything");
    reset.addEventListener("click", () => this.wishes.reset());
    return make(
      "div", { class: "state" }, make("h3", {}, "Nothing is left here"),
      make("p", { class: "quiet" }, "No title that you have not rated fits what the list may hold."), reset,
    );
  }

  state(element) {
    byId("list-state").replaceChildren(...(element ? [element] : []));
  }

  fail(failure) {
    this.view.element.setAttribute("aria-busy", "false");
    if (failure.isSilence) this.connection.lost();
    if (failure.isSilence && this.view.shown.size) return;
    this.view.clear();
    byId("more").hidden = true;
    const again = make("button", { type: "button", class: "main-button" }, "Try again");
    again.addEventListener("click", () => this.refresh());
    this.state(
      make(
        "div", { class: "state" }, make("h3", {}, "The list could not be fetched"),
        make("p", { class: "quiet" }, failure.inWords), again,
      ),
    );
  }
}
