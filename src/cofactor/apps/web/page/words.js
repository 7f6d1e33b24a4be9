// Titles, counts, ratings and moves in words.

const NUMBER = new Intl.NumberFormat("en");
const ARTICLE_LAST = /^(.*), (The|A|An|La|Le|Les|L'|Il|El|Der|Die|Das)$/;

/** Return a number with its thousands apart. */
export function number(value) {
  return NUMBER.format(value);
}

/** Return "1 title", "2 titles". */
export function count(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}

/** Return a title as one reads it: without the year that stands beside it, the article in front.
 *
 * An item without a title goes by its id.
 */
export function shownTitle({ title, item, year }) {
  if (!title?.trim()) return item;
  const bare = year && title.endsWith(`(${year})`) ? title.slice(0, -`(${year})`.length).trim() : titleOnly(title);
  const parts = ARTICLE_LAST.exec(bare);
  return (parts ? `${parts[2]} ${parts[1]}` : bare) || title;
}

/** Return a title without a year at its end, for where the year is not told apart. */
function titleOnly(title) {
  return title.replace(/\s*\(\d{4}\)\s*$/, "");
}

/** Return what is known of an item besides its title. */
export function known(item) {
  const raters = item.rated_by ? `rated by ${count(item.rated_by, "person", "people")}` : "rated by nobody yet";
  return [item.new && "new", item.year, item.genres.slice(0, 3).join(", "), raters].filter(Boolean).join(" · ");
}

/** Return a rating's value as it is written: 4, 3.5. */
export function written(value) {
  return String(Math.round(value * 100) / 100);
}

/** Return "4 stars", or "7 of 10" on a scale that is not of few stars; "thumb up" where there are no stars. */
export function starsInWords(value, scale) {
  if (scale.liked_from != null) return value >= scale.liked_from ? "thumb up" : "thumb down";
  if (scale.high > 5) return `${written(value)} of ${written(scale.high)}`;
  return value === 1 ? "1 star" : `${written(value)} stars`;
}

/** Return how an item's position changed, in words. */
export function movedInWords(item) {
  if (item.moved == null) return "new in the list";
  if (item.moved === 0) return "same place as before";
  return `${item.moved > 0 ? "up" : "down"} ${count(Math.abs(item.moved), "place")}`;
}

/** Return the announcement of a new list: its first title and how much changed. */
export function listInWords(items, shownBefore) {
  if (!items.length) return "Nothing is left in the list.";
  const fresh = items.filter((item) => !shownBefore.has(item.item)).length;
  const moved = items.filter((item) => shownBefore.has(item.item) && item.moved).length;
  const changes = [fresh && `${fresh} new`, moved && `${moved} moved`].filter(Boolean).join(", ") || "nothing moved";
  return `The list changed: ${changes}. First is ${shownTitle(items[0])}.`;
}

/** Return the name of a column as a label: "Release country" for release_country. */
export function nameInWords(name) {
  const words = name.replaceAll("_", " ").trim() || name;
  return words[0].toUpperCase() + words.slice(1);
}
