// The map: items in two dimensions, the visitor's own lit up, and a table that says the same.

import { ask, queryOf } from "./api.js";
import { byId, drawn, make } from "./elements.js";
import { mapTable } from "./map_table.js";
import { placedLabels } from "./map_labels.js";
import { shownTitle } from "./words.js";

const SHOWN = 400;
const LEAST_SIZE = 240; // in pixels, as all lengths here
const MARGIN = 16;
const REACH = 30; // how near a pointer must come to a point

/** Shows the map, once it is near the screen. */
export class MapView {
  constructor(ratings, onDetails) {
    Object.assign(this, { ratings, onDetails, items: [], suggested: new Set(), wanted: false });
    this.body = byId("map-body");
    byId("map-views").addEventListener("change", () => this.show());
    const near = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && this.begin(), {
      rootMargin: "400px",
    });
    near.observe(this.body);
    this.near = near;
    new ResizeObserver(() => this.size !== this.fittingSize && this.show()).observe(this.body);
  }

  /** The side of the picture: drawn in the pixels that it has, so that names are as large as other text. */
  get fittingSize() {
    return Math.max(LEAST_SIZE, this.body.clientWidth);
  }

  begin() {
    this.near.disconnect();
    this.wanted = true;
    this.load();
  }

  /** Fetch the items' places: the most rated ones, and all that the visitor rated or is shown. */
  async load() {
    if (!this.wanted) return;
    const item = [...new Set([...this.ratings.sent().map((rating) => rating.item), ...this.suggested])].slice(0, 900);
    try {
      const { items } = await ask(`v1/map?${queryOf({ n: SHOWN, item })}`);
      this.items = items;
      this.show();
    } catch (failure) {
      this.body.replaceChildren(make("p", { class: "quiet" }, failure.inWords));
    }
  }

  /** Light up what is rated and ring what is suggested now; fetch what the map lacks of it. */
  light(suggested = this.suggested) {
    this.suggested = suggested;
    if (!this.wanted || this.waiting) return;
    this.waiting = true; // the list comes first
    later(() => this.relight());
  }

  relight() {
    this.waiting = false;
    const placed = new Set(this.items.map((item) => item.item));
    const lacks = [...this.ratings.entries.keys(), ...this.suggested].some((item) => !placed.has(item));
    const asked = [...this.suggested].join();
    if (lacks && this.lacking !== asked) {
      this.lacking = asked; // unknown items stay lacking: ask once for each list
      this.load();
    } else {
      this.show();
    }
  }

  show() {
    if (!this.items.length) return;
    const asTable = byId("map-views").querySelector("input:checked").value === "table";
    this.body.replaceChildren(...(asTable ? [mapTable(this.items, this.ratings)] : this.picture()));
  }

  picture() {
    const size = (this.size = this.fittingSize);
    const place = placing(this.items, size);
    const points = this.items.map((item) => ({ item, ...place(item), kind: this.kindOf(item.item) }));
    points.sort((one, other) => ORDER.indexOf(one.kind) - ORDER.indexOf(other.kind));
    const mine = points.filter(({ kind }) => kind === "is-mine").length;
    const words = `Map of ${points.length} titles, ${mine} of them yours; the table says the same.`;
    const circles = points.map(({ x, y, kind }) =>
      drawn("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: RADIUS[kind], class: kind }),
    );
    const svg = drawn("svg", { viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": words, class: "map" });
    const tip = make("p", { class: "tip", hidden: true, "aria-hidden": "true" });
    svg.append(...circles, ...placedLabels(points, size));
    svg.addEventListener("pointermove", (event) => this.point(event, svg, points, tip));
    svg.addEventListener("pointerleave", () => (tip.hidden = true));
    svg.addEventListener("click", (event) => {
      const near = nearest(event, svg, points);
      if (near) this.onDetails(near.item);
    });
    return [make("div", { class: "map-frame" }, svg, tip), legend(this.suggested.size > 0, mine > 0)];
  }

  kindOf(item) {
    if (this.ratings.get(item)) return "is-mine";
    return this.suggested.has(item) ? "is-next" : "is-other";
  }

  point(event, svg, points, tip) {
    const near = nearest(event, svg, points);
    svg.classList.toggle("is-near", near !== null);
    tip.hidden = near === null;
    if (!near) return;
    tip.textContent = shownTitle(near.item);
    tip.classList.toggle("is-left", near.x > this.size / 2);
    tip.style.setProperty("--x", `${(100 * near.x) / this.size}%`);
    tip.style.setProperty("--y", `${(100 * near.y) / this.size}%`);
  }
}

/** Call back when there is nothing more urgent. */
function later(callback) {
  if ("requestIdleCallback" in window) requestIdleCallback(callback, { timeout: 500 });
  else setTimeout(callback, 50);
}

const ORDER = ["is-other", "is-next", "is-mine"];
const RADIUS = { "is-other": 1.8, "is-next": 3.5, "is-mine": 4.5 };

/** Return what places items in the picture: the ranges of those shown fill it. */
function placing(items, size) {
  const across = fitted(items.map(({ x }) => x), size);
  const up = fitted(items.map(({ y }) => y), size);
  return ({ x, y }) => ({ x: across(x), y: size - up(y) });
}

function fitted(values, size) {
  const least = Math.min(...values);
  const range = Math.max(...values) - least || 1;
  return (value) => MARGIN + ((size - 2 * MARGIN) * (value - least)) / range;
}

function nearest(event, svg, points) {
  const { left, top } = svg.getBoundingClientRect();
  const [x, y] = [event.clientX - left, event.clientY - top];
  let best = null;
  let least = REACH ** 2;
  for (const point of points) {
    const distance = (point.x - x) ** 2 + (point.y - y) ** 2;
    if (distance <= least) [best, least] = [point, distance];
  }
  return best;
}

function legend(hasNext, hasMine) {
  const entry = (kind, words) => make("li", { class: kind }, words);
  const entries = [hasMine && entry("is-mine", "yours"), hasNext && entry("is-next", "in the list")];
  return make("ul", { class: "legend", "aria-hidden": "true" }, entries, entry("is-other", "others"));
}
