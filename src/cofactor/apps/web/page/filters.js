// The filters above the list: well known or rarely seen, safe or adventurous, of a genre.

import { byId, make } from "./elements.js";
import { count, number } from "./words.js";

// Each stop of the slider, by how large a share of all items is rated by fewer people.
const STOPS = [
  { words: "only the best known", from: 0.95 },
  { words: "the well known", from: 0.8 },
  { words: "everything" },
  { words: "the less known", to: 0.8 },
  { words: "only the rarely seen", to: 0.5 },
];
const MIDDLE = 2;

/** Reads the controls above the list. */
export class Filters {
  constructor(onChange) {
    this.onChange = onChange;
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    byId("fame").addEventListener("input", () => this.changed());
    byId("daring-filter").addEventListener("change", () => this.changed());
    byId("genre").addEventListener("change", () => this.changed());
  }

  /** Offer what the model has: its genres, and uncertainty if it has it. */
  offer({ raters, has_spread, genres, scale }) {
    this.raters = raters;
    this.scale = scale;
    byId("daring-filter").hidden = !has_spread;
    byId("genre-filter").hidden = !genres.length;
    byId("fame-filter").hidden = raters[0] === raters.at(-1);
    const select = byId("genre");
    const chosen = select.value;
    select.replaceChildren(select.options[0], ...genres.map((genre) => make("option", { value: genre }, genre)));
    select.value = genres.includes(chosen) ? chosen : "";
    this.describe();
  }

  /** The filters in the terms of the API. */
  get values() {
    const values = {};
    const genre = byId("genre").value;
    const daring = document.querySelector('input[name="daring"]:checked').value;
    if (genre) values.genres = [genre];
    if (daring !== "mean" && !byId("daring-filter").hidden) values.by = daring;
    return { ...values, ...this.fame };
  }

  get fame() {
    const { from, to } = STOPS[byId("fame").value];
    if (!this.raters || byId("fame-filter").hidden) return {};
    const raters = (share) => this.raters[Math.round(share * (this.raters.length - 1))];
    if (from !== undefined) return { raters_from: raters(from) };
    return to === undefined ? {} : { raters_to: raters(to) };
  }

  /** Whether the filters leave anything out. */
  get isNarrow() {
    return byId("genre").value !== "" || Number(byId("fame").value) !== MIDDLE;
  }

  reset() {
    byId("genre").value = "";
    byId("fame").value = MIDDLE;
    this.changed();
  }

  changed() {
    this.describe();
    this.onChange();
  }

  describe() {
    const { words } = STOPS[byId("fame").value];
    const { raters_from: from, raters_to: to } = this.fame;
    const people = from !== undefined ? `: ${number(from)} people or more` : "";
    const fewer = to !== undefined ? `: ${count(to, "person", "people")} or fewer` : "";
    byId("fame-words").textContent = words + people + fewer;
    byId("fame").setAttribute("aria-valuetext", words + people + fewer);
  }
}
