// Covers: a picture where the service has one, otherwise one drawn from what is known, the same each time.
// The hue is that of the item's vector, so that similar items look alike; the pattern is that of its first genre.

import { drawn, make } from "./elements.js";
import { shownTitle } from "./words.js";

const WIDTH = 80;
const HEIGHT = 120;
const LETTERS = 10; // in a line of a title
const LINES = 5;

// Each pattern as the path of its lines.
const PATTERNS = [
  () => lines(9, (at) => `M0 ${at * 14}L80 ${at * 14 - 26}`),
  () => lines(6, (at) => `M${at * 16} 0V120`),
  () => lines(9, (at) => `M0 ${at * 15}q10 -9 20 0t20 0t20 0t20 0`),
  () => lines(9, (at) => `M0 ${at * 15 + 12}l20 -12l20 12l20 -12l20 12`),
  () => lines(5, (at) => ring(at * 14)),
  () => lines(8, (at) => `M40 120L${at * 20 - 30} 0`),
  () => lines(6, (at) => `M${at * 16} 0V120M0 ${at * 24}H80`),
  () => lines(6, (at) => `M${40 - at * 10} ${84 - at * 13}h${at * 20}v${at * 26}h${-at * 20}z`),
];

function ring(radius) {
  const half = (across) => `a${radius} ${radius} 0 1 0 ${across} 0`;
  return `M${40 - radius} 84${half(2 * radius)}${half(-2 * radius)}`;
}

function lines(count, one) {
  return Array.from({ length: count }, (_, at) => one(at)).join("");
}

/** Return an item's cover; it is decoration, for the title stands beside it. With `titled`, it is on the cover too. */
export function cover(item, { titled = false } = {}) {
  if (item.image) {
    const picture = make("img", { src: item.image, alt: "", loading: "lazy", decoding: "async", class: "cover" });
    picture.addEventListener("error", () => picture.replaceWith(drawing(item, titled)), { once: true });
    return picture;
  }
  return drawing(item, titled);
}

function drawing(item, titled) {
  const hue = item.hue ?? 0;
  const kind = (item.genres ?? [])[0] ?? "";
  const svg = drawn(
    "svg", { class: "cover", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" },
    drawn("rect", { width: WIDTH, height: HEIGHT, fill: `hsl(${hue} 42% 30%)` }),
    drawn("path", {
      d: PATTERNS[hashOf(kind) % PATTERNS.length](), fill: "none", stroke: `hsl(${(hue + 24) % 360} 58% 62%)`,
      "stroke-width": 2, opacity: titled ? 0.4 : 0.75,
    }),
  );
  if (titled) svg.append(lettering(shownTitle(item), hue));
  return svg;
}

function lettering(title, hue) {
  const rows = broken(title);
  const text = drawn("text", { "font-size": 12, "font-weight": 700, fill: `hsl(${hue} 30% 96%)` });
  rows.forEach((row, at) => {
    const line = drawn("tspan", { x: 7, y: 20 + at * 15 }, row);
    if (row.length > LETTERS - 1) {
      line.setAttribute("textLength", WIDTH - 14);
      line.setAttribute("lengthAdjust", "spacingAndGlyphs");
    }
    text.append(line);
  });
  return text;
}

/** Return a title in lines that fit a cover. */
export function broken(title) {
  const rows = [""];
  for (const word of title.split(/\s+/)) {
    const last = rows.at(-1);
    if (last && last.length + 1 + word.length > LETTERS) rows.push(word);
    else rows[rows.length - 1] = last ? `${last} ${word}` : word;
  }
  const cut = rows.slice(0, LINES).map((row) => (row.length > LETTERS + 3 ? `${row.slice(0, LETTERS + 2)}…` : row));
  if (rows.length > LINES) cut[LINES - 1] += "…";
  return cut;
}

function hashOf(text) {
  let hash = 7;
  for (const letter of text) hash = (hash * 31 + letter.codePointAt(0)) >>> 0;
  return hash;
}
