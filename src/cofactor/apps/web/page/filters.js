// The controls above the list: well known or rarely seen, safe or adventurous, what the titles are, more variety.

import { byId, make } from "./elements.js";
import { count, nameInWords, number } from "./words.js";

// Each stop of the slider, by how large a share of all items is rated by fewer people.
const STOPS = [
  { words: "only the best known", from: 0.95 },
  { words: "the well known", from: 0.8 },
  { words: "everything" },
  { words: "the less known", to: 0.8 },
  { words: "only the rarely seen", to: 0.5 },
];
const MIDDLE = 2;
const MOST_MENUS = 6;

/** Reads the controls above the list. */
export class Filters {
  constructor(onChange) {
    this.onChange = onChange;
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    byId("filters-button").addEventListener("click", ({ target }) => {
      target.setAttribute("aria-expanded", String(byId("filters").classList.toggle("is-open")));
    });
    byId("fame").addEventListener("input", () => this.changed());
    byId("daring-filter").addEventListener("change", () => this.changed());
    byId("attribute-filters").addEventListener("change", () => this.changed());
    byId("variety").addEventListener("change", () => this.changed());
  }

  /** Offer what the model has: uncertainty if it has it, and the attributes that have few values. */
  offer({ raters, has_spread, scale }, attributes) {
    this.raters = raters;
    this.scale = scale;
    byId("daring-filter").hidden = !has_spread;
    byId("fame-filter").hidden = raters[0] === raters.at(-1);
    const offered = attributes.filter(isMenu);
    this.offerMenus(offered.slice(0, MOST_MENUS));
    this.varied = offered.find(({ type }) => type === "list") ?? offered.find(({ type }) => type === "text");
    byId("variety-filter").hidden = !this.varied;
    this.describe();
  }

  /** Offer a menu for each attribute; what was chosen stays chosen where it is still offered. */
  offerMenus(attributes) {
    const chosen = this.conditions;
    byId("attribute-filters").replaceChildren(...attributes.map((attribute, at) => menu(attribute, at, chosen)));
  }

  get menus() {
    return [...byId("attribute-filters").querySelectorAll("select")];
  }

  /** The conditions of the values that are chosen. */
  get conditions() {
    return this.menus.map((one) => one.value).filter(Boolean);
  }

  /** The filters in the terms of the API. */
  get values() {
    const values = {};
    const daring = document.querySelector('input[name="daring"]:checked').value;
    if (this.conditions.length) values.where = this.conditions.join(" and ");
    if (byId("variety").checked && this.varied) values.diversify = this.varied.name;
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
    return this.conditions.length > 0 || Number(byId("fame").value) !== MIDDLE;
  }

  reset() {
    for (const one of this.menus) one.value = "";
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

/** Tell whether an attribute sorts titles into groups; a title, or any value of one item alone, does not. */
function isMenu({ name, values }) {
  return name !== "title" && values?.length > 1 && values.some(({ count }) => count > 1);
}

/** Return a menu of an attribute's values; its options stand for conditions. */
function menu({ name, values }, at, chosen) {
  const id = `attribute-${at}`;
  const options = values.map(({ value, where }) =>
    make("option", { value: where, selected: chosen.includes(where) }, valueInWords(value)),
  );
  const select = make("select", { id }, make("option", { value: "" }, "All"), options);
  return make("div", { class: "filter" }, make("label", { for: id }, nameInWords(name)), select);
}

function valueInWords(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  return String(value);
}
