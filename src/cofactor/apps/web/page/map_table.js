// The map as a table: the same places in numbers.

import { isolated, make } from "./elements.js";
import { number, shownTitle, written } from "./words.js";

/** Return the map's items as a table, the visitor's own first, then the best known. */
export function mapTable(items, ratings) {
  const mine = (item) => Number(ratings.get(item.item) !== undefined);
  const sorted = [...items].sort((one, other) => mine(other) - mine(one) || other.rated_by - one.rated_by);
  const head = ["Title", "Across", "Up", "Rated by", "You"].map((word) => make("th", { scope: "col" }, word));
  const table = make(
    "table", {},
    make("caption", { class: "hidden" }, "Where titles lie on the map, from -1 to 1, and your ratings"),
    make("thead", {}, make("tr", {}, head)),
    make("tbody", {}, sorted.map((item) => row(item, ratings.valueOf(item.item)))),
  );
  const region = { class: "table-frame", tabindex: "0", role: "region", "aria-label": "The map as a table" };
  return make("div", region, table);
}

function row(item, value) {
  return make(
    "tr", { class: value === null ? null : "is-mine" },
    make("th", { scope: "row" }, isolated(shownTitle(item))),
    make("td", {}, item.x.toFixed(2)), make("td", {}, item.y.toFixed(2)),
    make("td", {}, number(item.rated_by)),
    make("td", {}, value === null ? "–" : written(value)),
  );
}
