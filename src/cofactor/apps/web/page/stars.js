// The rating of one item: a radio group of stars with an explicit "no rating", for mouse, touch and keys alike.

import { drawn, heard, icon, make } from "./elements.js";
import { choicesOf } from "./scale.js";
import { shownTitle, starsInWords, written } from "./words.js";

const KEYS_MILLISECONDS = 350;
let groups = 0;

/** Makes the stars of items, and keeps all of them as the ratings are. */
export class Stars {
  constructor(ratings, scale) {
    this.ratings = ratings;
    this.scale = scale;
    this.choices = choicesOf(scale);
  }

  /** Return a radio group for an item. A change is a rating at once: the keys of a radio group change it as they go. */
  of(item) {
    const name = `rating-${++groups}`;
    const kind = this.choices[0].thumb ? "stars thumbs" : "stars";
    const group = make("fieldset", { class: kind, "data-item": item.item });
    group.append(make("legend", { class: "hidden" }, `Your rating of ${shownTitle(item)}`), this.none(name));
    group.append(make("span", { class: "sky" }, this.choices.map((choice) => this.choice(name, choice))));
    group.addEventListener("change", (event) => this.changed(group, item, event));
    group.addEventListener("keydown", () => (group.byKey = true));
    group.addEventListener("pointerdown", () => (group.byKey = false));
    group.addEventListener("focusout", ({ relatedTarget }) => {
      if (group.contains(relatedTarget)) return;
      group.give?.();
      group.joins = false;
    });
    this.show(group);
    return group;
  }

  /** Rate at once, or, where keys pass from star to star, when they have stopped: that is one rating, and one undo. */
  changed(group, item, { target, timeStamp }) {
    const value = target.value === "" ? null : Number(target.value);
    clearTimeout(group.timer);
    if (!group.byKey) return this.ratings.rate(item, value, timeStamp);
    this.mark(group, target);
    group.give = () => {
      clearTimeout(group.timer);
      group.give = null;
      this.ratings.rate(item, value, timeStamp, group.joins);
      group.joins = true;
    };
    group.timer = setTimeout(group.give, KEYS_MILLISECONDS);
    return undefined;
  }

  none(name) {
    const input = make("input", { type: "radio", name, value: "" });
    return make("label", { class: "no-rating", title: "No rating" }, input, icon("none"), heard("No rating"));
  }

  choice(name, { value, width, thumb }) {
    const half = width < 1 ? (value % 1 ? " first-half" : " second-half") : "";
    const input = make("input", { type: "radio", name, value });
    const symbol = thumb ? "#icon-thumb" : "#icon-star";
    const star = drawn("svg", { "aria-hidden": "true" }, drawn("use", { href: symbol }));
    const words = starsInWords(value, this.scale);
    if (thumb) return make("label", { class: `star thumb-${thumb}`, title: words }, input, star, heard(words));
    return make("label", { class: `star${half}`, title: words }, input, star, heard(words));
  }

  /** Show in a group the rating that there is. */
  show(group) {
    const value = this.ratings.valueOf(group.dataset.item);
    const inputs = [...group.querySelectorAll("input")];
    const chosen = value === null ? inputs[0] : nearest(inputs.slice(1), value);
    if (group.give) return; // keys are on their way through it
    if (!chosen.checked) chosen.checked = true;
    this.mark(group, chosen);
  }

  mark(group, chosen) {
    const inputs = [...group.querySelectorAll("input")];
    const isFull = this.choices[0].thumb ? (at) => at === full : (at) => at <= full;
    const full = inputs.indexOf(chosen); // as classes: the selectors that would do without make each change slow
    inputs.forEach((input, at) => input.parentNode.classList.toggle("is-full", at > 0 && isFull(at)));
    group.classList.toggle("is-rated", full > 0);
  }

  /** Show in every group and remark on the page the ratings that there are. */
  showAll() {
    document.querySelectorAll("fieldset.stars").forEach((group) => this.show(group));
    document.querySelectorAll("[data-predicted]").forEach((remark) => this.remark(remark));
  }

  /** Return a place for what the model had predicted; it stays empty until there is a rating of one's own. */
  remarkOf(item) {
    const remark = make("p", { class: "predicted", "data-predicted": item.item });
    this.remark(remark);
    return remark;
  }

  remark(element) {
    const predicted = this.ratings.get(element.dataset.predicted)?.predicted;
    const text = predicted == null ? "" : `Predicted ${written(Math.round(predicted * 10) / 10)}`;
    if (element.textContent !== text) element.textContent = text;
  }
}

function nearest(inputs, value) {
  return inputs.reduce((best, input) => (Math.abs(input.value - value) < Math.abs(best.value - value) ? input : best));
}
