// The first minute: twelve titles, one after the other, in one place, and four answers to each.

import { ask } from "./api.js";
import { cover } from "./covers.js";
import { byId, isolated, make } from "./elements.js";
import { keep, recall } from "./storage.js";
import { count, known, shownTitle } from "./words.js";

const ENOUGH = 5;

/** The deck. What is answered is a rating like any other. */
export class Deck {
  constructor(ratings, scale) {
    Object.assign(this, { ratings, scale, items: [], unseen: new Set(recall("unseen", [])) });
    this.element = byId("deck");
    this.body = byId("deck-body");
    byId("deck-close").addEventListener("click", () => this.close());
    ratings.addEventListener("change", () => this.show());
    ratings.addEventListener("replaced", () => this.show());
  }

  /** Fetch the titles, unless the visitor is past this. */
  async start() {
    if (document.documentElement.classList.contains("is-known")) return;
    try {
      this.items = (await ask("v1/starters")).items;
    } catch {
      this.items = []; // the list is there all the same
    }
    this.show();
  }

  get left() {
    return this.items.filter(({ item }) => !this.ratings.get(item) && !this.unseen.has(item));
  }

  get isOver() {
    return recall("deck", null) === "done" || this.ratings.owner !== null || !this.items.length;
  }

  show() {
    if (this.isOver) return this.element.classList.add("is-over");
    const [item] = this.left;
    const isReady = this.ratings.size >= ENOUGH && !this.goesOn;
    if (!item || isReady) return this.end(item !== undefined);
    if (this.shown === item.item) return this.tell();
    this.shown = item.item;
    this.body.replaceChildren(cover(item, { titled: true }), this.question(item));
    return this.tell();
  }

  question(item) {
    return make(
      "div", { class: "question" },
      make("p", { class: "title" }, isolated(shownTitle(item))), make("p", { class: "known" }, known(item)),
      make("div", { class: "answers", role: "group", "aria-label": shownTitle(item) }, this.answers(item)),
    );
  }

  answers(item) {
    const { low, high, step, liked_from: liked } = this.scale;
    const middle = Math.min(high, low + Math.round((high - low) / 2 / step) * step);
    const give = (words, value) => this.button(words, () => this.ratings.rate(item, value));
    const skip = (words) => this.button(words, () => this.skip(item));
    if (liked != null) return [give("Like it", high), give("Not for me", low), skip("Don’t know it")];
    return [give("Loved", high), give("Fine", middle), give("Not for me", low), skip("Haven’t seen")];
  }

  /** Return a button; the one in its place has the focus when the next title comes. */
  button(words, act) {
    const button = make("button", { type: "button", class: "quiet-button" }, words);
    button.addEventListener("click", () => {
      const place = [...button.parentNode.children].indexOf(button);
      const hadFocus = document.activeElement === button;
      act();
      const next = this.body.querySelectorAll("button");
      if (hadFocus) (next[place] ?? next[0])?.focus({ preventScroll: true });
    });
    return button;
  }

  skip({ item }) {
    this.unseen.add(item);
    keep("unseen", [...this.unseen]);
    this.show();
  }

  tell() {
    const given = this.ratings.size;
    const missing = Math.max(0, ENOUGH - given);
    const at = this.items.length - this.left.length + 1;
    const rest = missing ? `${missing} to go` : "your list is ready";
    byId("deck-note").textContent = `${at} of ${this.items.length} · ${rest}`;
  }

  /** Say that the list is there, in place of the question, and offer the rest of the deck. */
  end(hasMore) {
    this.shown = null;
    const list = make("a", { href: "#suggestions", class: "main-button" }, "See your list");
    list.addEventListener("click", () => this.close());
    const more = make("button", { type: "button", class: "quiet-button" }, "A few more");
    more.addEventListener("click", () => {
      this.goesOn = true;
      this.show();
      this.body.querySelector("button")?.focus({ preventScroll: true });
    });
    const { size } = this.ratings;
    const words = size ? `Your list is ready, from ${count(size, "rating")}.` : "These were all.";
    byId("deck-note").textContent = "";
    const isNew = !this.body.querySelector(".main-button");
    if (isNew) this.body.replaceChildren(make("div", { class: "question" }, make("p", { class: "title" }, words),
      make("div", { class: "answers" }, list, hasMore ? more : null)));
  }

  close() {
    keep("deck", "done");
    this.element.classList.add("is-over");
  }
}
