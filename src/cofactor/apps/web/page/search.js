// Search by title: a combobox with a list of what was found, for keys, mouse and touch.

import { ask, queryOf } from "./api.js";
import { byId, heard, isolated, make } from "./elements.js";
import { count, known, shownTitle, starsInWords } from "./words.js";

const FOUND = 8;
const PAUSE_MILLISECONDS = 60; // after a key: too short to notice, longer than between a fast typist's keys

/** The search field. Calls back with the item that was chosen. */
export class Search {
  constructor(ratings, stars, onChoose) {
    Object.assign(this, { ratings, stars, onChoose, items: [], active: -1 });
    this.input = byId("search");
    this.list = byId("found");
    this.panel = byId("found-panel");
    this.input.addEventListener("input", () => this.typed());
    this.input.addEventListener("keydown", (event) => this.pressed(event));
    this.input.addEventListener("focus", () => this.input.value.trim() && this.look());
    this.input.addEventListener("blur", () => this.close());
    // chosen at the press, before the field loses the focus and the list closes
    this.list.addEventListener("pointerdown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.choose([...this.list.children].indexOf(option));
    });
  }

  typed() {
    clearTimeout(this.timer);
    this.abort?.abort();
    if (!this.input.value.trim()) return this.close();
    this.timer = setTimeout(() => this.look(), PAUSE_MILLISECONDS);
  }

  async look() {
    this.abort?.abort();
    this.abort = new AbortController();
    const search = this.input.value.trim();
    try {
      const { items } = await ask(`v1/items?${queryOf({ search, n: FOUND })}`, { signal: this.abort.signal });
      if (document.activeElement === this.input) this.open(items, items.length ? "" : `No title like “${search}”.`);
    } catch (failure) {
      if (failure.name !== "AbortError") this.open([], failure.inWords);
    }
  }

  open(items, note) {
    this.items = items;
    this.list.replaceChildren(...items.map((item, at) => this.option(item, at)));
    this.list.hidden = !items.length;
    byId("found-note").textContent = note;
    byId("found-note").hidden = !note;
    this.panel.hidden = false;
    this.input.setAttribute("aria-expanded", String(items.length > 0));
    byId("announcement").textContent = note || `${count(items.length, "title")} found`;
    this.activate(-1);
  }

  option(item, at) {
    const value = this.ratings.valueOf(item.item);
    const rated = value === null ? "" : `You: ${starsInWords(value, this.stars.scale)}`;
    return make(
      "li", { id: `found-${at}`, role: "option", "aria-selected": "false" },
      make("span", { class: "found-title" }, isolated(shownTitle(item))), heard(", "),
      make("span", { class: "known" }, [known(item), rated].filter(Boolean).join(" · ")),
    );
  }

  close() {
    clearTimeout(this.timer);
    this.abort?.abort();
    this.panel.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  pressed(event) {
    const count = this.items.length;
    const isOpen = !this.panel.hidden;
    if (event.key === "Escape") {
      if (isOpen) this.close();
      else this.input.value = "";
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!isOpen) return this.input.value.trim() && this.look();
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.activate(this.active < 0 && step < 0 ? count - 1 : (this.active + step + count) % count);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (isOpen && count) this.choose(Math.max(0, this.active));
    }
  }

  activate(at) {
    this.active = Number.isNaN(at) ? -1 : at;
    [...this.list.children].forEach((option, index) => {
      option.setAttribute("aria-selected", String(index === this.active));
      if (index === this.active) option.scrollIntoView({ block: "nearest" });
    });
    if (this.active < 0) this.input.removeAttribute("aria-activedescendant");
    else this.input.setAttribute("aria-activedescendant", `found-${this.active}`);
  }

  choose(at) {
    const item = this.items[at];
    this.input.value = "";
    this.close();
    this.onChoose(item);
  }
}
