// The list of suggestions: requests it after each change, and shows it, or why it could not be fetched.

import { Failure, ask, queryOf, userPath } from "./api.js";
import { byId, holdStill, lastTouched, make } from "./elements.js";
import { count, listInWords } from "./words.js";

const PAGE = 20;
const LONGEST = 500;

/** Call back when the change is on the screen. */
function afterNextFrame(callback) {
  requestAnimationFrame(() => setTimeout(callback));
}

/** Requests lists and shows them. If several requests overlap, the last one counts. */
export class Suggestions {
  constructor({ ratings, uploads, view, filters, connection, onList }) {
    Object.assign(this, { ratings, uploads, view, filters, connection, onList });
    this.length = PAGE;
    this.sent = 0;
    this.before = null;
    this.positions = new Map();
    byId("more").addEventListener("click", () => this.lengthen());
  }

  lengthen() {
    this.length = Math.min(LONGEST, this.length + PAGE);
    this.refresh({ quiet: true });
  }

  get request() {
    return { ...this.choice, reasons: 2 };
  }

  /** What is in the list, and in which order. */
  get choice() {
    return { n: this.length, ...this.filters.values };
  }

  /** Request the list again. After a rating, `items` are the rated ones, and moves are marked. */
  async refresh({ items = null, since = performance.now(), quiet = false } = {}) {
    const mine = ++this.sent;
    this.abort?.abort();
    this.abort = new AbortController();
    this.view.wait();
    const list = await this.fetch(items !== null, this.abort.signal).catch((error) => error);
    if (mine !== this.sent) return; // a later request will be answered
    if (list instanceof Failure) this.fail(list);
    else if (list instanceof Error) throw list;
    else this.show(list, { items, since, quiet });
  }

  async fetch(afterRating, signal) {
    const { ratings } = this;
    if (ratings.owner === null) return this.forVisitor(afterRating, signal);
    try {
      const list = await this.uploads.send(this.request);
      return list ?? (await ask(`${userPath(ratings.owner, "recommendations")}?${queryOf(this.request)}`, { signal }));
    } catch (failure) {
      if (!failure.isStoreAway && failure.status !== 401) throw failure;
      this.connection.storeFailed(failure);
      return this.forVisitor(afterRating, signal); // ratings that could not be stored count all the same
    }
  }

  forVisitor(afterRating, signal) {
    const ratings = this.ratings.sent();
    const before = afterRating && this.before ? { before: this.before } : {};
    return ask("v1/recommendations", { method: "POST", body: { ratings, ...before, ...this.request }, signal });
  }

  show(list, { items, since, quiet }) {
    const shownBefore = this.view.shown;
    const isFirst = this.before === null;
    const shownItems = trueMoves(list.items, items ?? [], this.positions);
    const rated = items?.length === 1 ? items[0] : null;
    const glide = this.view.gliding();
    this.before = this.ratings.sent();
    this.positions = new Map(shownItems.map(({ item, position }) => [item, position]));
    holdStill(items && lastTouched(), () => {
      this.view.show(shownItems, this.ratings.get(rated) ? rated : null);
      byId("more").hidden = list.items.length < this.length || this.length >= LONGEST;
      this.title(list);
      this.state(list.items.length ? null : this.nothingLeft());
      this.connection.works(list);
      this.onList(list, items);
    });
    glide();
    if (!isFirst && !quiet) byId("announcement").textContent = listInWords(shownItems, shownBefore);
    if (items) afterNextFrame(() => performance.measure("from rating to list", { start: since }));
  }

  title(list) {
    const { owner, size } = this.ratings;
    byId("suggestions-title").textContent = list.popular ? "Popular" : owner === null ? "For you" : `For ${owner}`;
    byId("suggestions-note").textContent = this.note(list, size);
  }

  note(list, size) {
    if (!list.popular) return `From ${count(size, "rating")} of yours; each new one changes the list at once.`;
    if (!size) return "What most people rated. Rate a title, and the list becomes yours.";
    const { scale } = this.filters;
    const isOfStars = scale?.liked_from == null;
    const hint = isOfStars ? "Dislikes alone say little of what you would like" : "It learns from thumbs up";
    return `Still what most people rated, without yours. ${hint}: rate something that you like.`;
  }

  nothingLeft() {
    if (!this.filters.isNarrow) return make("div", { class: "state" }, make("p", {}, "You have rated everything."));
    const reset = make("button", { type: "button", class: "main-button" }, "Show everything");
    reset.addEventListener("click", () => this.filters.reset());
    return make(
      "div", { class: "state" }, make("h3", {}, "Nothing is left here"),
      make("p", { class: "quiet" }, "No title that you have not rated matches these filters."), reset,
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

/** Return a list's items with their moves corrected for the titles that left it or came back by the last change: a
 * title that only moved up into the gap of a rated one did not rise.
 *
 * `changed` are those titles' ids, `positionsBefore` the earlier positions by id.
 */
function trueMoves(items, changed, positionsBefore) {
  const positionsNow = new Map(items.map(({ item, position }) => [item, position]));
  const left = changed.filter((item) => !positionsNow.has(item)).map((item) => positionsBefore.get(item) ?? Infinity);
  const back = changed.filter((item) => !positionsBefore.has(item)).map((item) => positionsNow.get(item) ?? Infinity);
  return items.map((item) => {
    if (item.moved == null) return item;
    const gaps = left.filter((position) => position < item.was).length;
    const inserted = back.filter((position) => position < item.position).length;
    return { ...item, moved: item.moved - (gaps - inserted) };
  });
}
