// Reads csv files of ratings as other sites write them, and finds their titles among those of the service.

const COLUMNS = {
  title: ["name", "title", "movie", "item"],
  year: ["year", "original publication year", "year published"],
  rating: ["rating", "your rating", "my rating", "stars", "score"],
  id: ["movie_id", "movieid", "item_id", "itemid"],
};
const ARTICLES = /^(the|a|an|la|le|les|l|il|el|los|las|der|die|das|den|det|o|os|as) /;
const ARTICLE_LAST = /^(.*), (the|a|an|la|le|les|l'|il|el|los|las|der|die|das|den|det)$/i;

/** Return the rows of a csv text, as lists of fields: quotes, doubled quotes and line ends in quotes are understood. */
export function rowsOf(text) {
  const rows = [[]];
  const plain = text.replace(/^\uFEFF/, "");
  const [head] = plain.split(/\r?\n/, 1);
  const mark = ["\t", ",", ";"].find((one) => head.includes(one)) ?? ",";
  let field = "";
  let quoted = false;
  for (let at = 0; at < plain.length; at++) {
    const letter = plain[at];
    if (quoted) {
      if (letter === '"' && plain[at + 1] === '"') field += plain[++at];
      else if (letter === '"') quoted = false;
      else field += letter;
    } else if (letter === '"') quoted = true;
    else if (letter === mark || letter === "\n") {
      rows.at(-1).push(field.trim());
      field = "";
      if (letter === "\n") rows.push([]);
    } else field += letter;
  }
  rows.at(-1).push(field.trim());
  return rows.filter((row) => row.some(Boolean));
}

/** Return what a file says: title, year, id and rating of each row, and the highest rating of the site's scale. */
export function ratingsIn(text) {
  const [head = [], ...rows] = rowsOf(text);
  const names = head.map((name) => name.toLowerCase());
  const place = (kind) => COLUMNS[kind].map((name) => names.indexOf(name)).find((at) => at >= 0) ?? -1;
  const [title, year, rating, id] = ["title", "year", "rating", "id"].map(place);
  if (rating < 0 || (title < 0 && id < 0)) return null;
  const found = rows
    .map((row) => ({ title: row[title] ?? "", year: yearOf(row[year]), id: row[id] ?? "", value: Number(row[rating]) }))
    .filter(({ value }) => value > 0); // 0 and nothing say that there is no rating
  const most = found.reduce((highest, { value }) => Math.max(highest, value), 0);
  return { found, top: most > 5 ? 10 : 5 };
}

function yearOf(text) {
  return Number(/\d{4}/.exec(text ?? "")?.[0] ?? 0);
}

/** Return a title as it is compared: no case, accents, marks or articles, "and" for "&"; and the year at its end. */
export function keyOf(title) {
  const year = yearOf(/\((\d{4})\)\s*$/.exec(title)?.[1]);
  const bare = title.replace(/\s*\(\d{4}\)\s*$/, "").replace(/\s*\([^)]*\)\s*$/, "");
  const turned = ARTICLE_LAST.exec(bare);
  const whole = (turned ? `${turned[2]} ${turned[1]}` : bare).normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const words = whole.replaceAll("&", " and ").replace(/['’]/g, "").match(/[\p{L}\p{N}]+/gu) ?? [];
  return { key: words.join(" ").replace(ARTICLES, ""), year };
}

/** Return the items that rows of a file mean, with their values, and the rows that mean none.
 *
 * `known` has lists of items, titles, years. A title must be the same, and its year, where both are told, at most one
 * apart; without years it must be the only one of its name. Ids count for rows without a title only.
 */
export function matched(rows, known) {
  const byTitle = new Map();
  const places = new Map(known.items.map((item, at) => [item, at]));
  known.titles.forEach((title, at) => {
    if (!title) return;
    const { key } = keyOf(title);
    byTitle.set(key, [...(byTitle.get(key) ?? []), at]);
  });
  const found = new Map();
  const lost = [];
  for (const row of rows) {
    const at = row.title ? ofTitle(row, byTitle, known.years) : places.get(row.id);
    if (at === undefined) lost.push(row);
    else found.set(at, row);
  }
  const describe = (at) => ({ item: known.items[at], title: known.titles[at], year: known.years[at] || null });
  return { items: [...found].map(([at, { value }]) => ({ ...describe(at), value })), lost };
}

function ofTitle(row, byTitle, years) {
  const { key, year } = keyOf(row.title);
  const wanted = row.year || year;
  const all = byTitle.get(key) ?? [];
  if (!wanted) return all.length === 1 ? all[0] : undefined;
  const near = all.filter((at) => !years[at] || Math.abs(years[at] - wanted) <= 1);
  return near.sort((one, other) => Math.abs(years[one] - wanted) - Math.abs(years[other] - wanted))[0];
}

/** Return a value of a site's scale on that of the model. */
export function rescaled(value, top, { low, high, step, liked_from }) {
  const exact = (value / top) * high;
  if (liked_from != null) return exact >= liked_from ? high : low;
  return Math.min(high, Math.max(low, Math.round(exact / step + 1e-9) * step));
}
