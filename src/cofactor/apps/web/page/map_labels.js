// The names on the map: the visitor's own first, then the best known, each only where it covers no other.

import { drawn } from "./elements.js";
import { shownTitle } from "./words.js";

const LETTER = 6.8; // the breadth of a letter in pixels, roughly
const HEIGHT = 15;
const POINT = 4;
const GAP = 7;
const LONGEST = 22;
const MOST = { "is-mine": 12, "is-next": 3, "is-other": 7 };

/** Return labels for some of the points. */
export function placedLabels(points, size) {
  const shining = points.filter(({ kind }) => kind !== "is-other");
  const taken = shining.map(({ x, y }) => ({ left: x - POINT, right: x + POINT, top: y - POINT, bottom: y + POINT }));
  const labels = [];
  for (const kind of ["is-mine", "is-next", "is-other"]) {
    const some = points.filter((point) => point.kind === kind);
    some.sort((one, other) => other.item.rated_by - one.item.rated_by);
    let left = MOST[kind];
    for (const point of some) {
      if (!left) break;
      const label = labelOf(point, size, taken);
      if (label) {
        labels.push(label);
        left -= 1;
      }
    }
  }
  return labels;
}

function labelOf({ item, x, y, kind }, size, taken) {
  const whole = shownTitle(item);
  const text = whole.length > LONGEST ? `${whole.slice(0, LONGEST - 1).trimEnd()}…` : whole;
  const width = text.length * LETTER;
  const isLeft = x + width + GAP > size;
  const start = isLeft ? x - width - GAP : x + GAP;
  const box = { left: start, right: start + width, top: y - HEIGHT / 2, bottom: y + HEIGHT / 2 };
  if (box.left < 0 || taken.some((other) => overlaps(box, other))) return null;
  taken.push(box);
  const anchor = isLeft ? "end" : "start";
  const where = { x: (isLeft ? x - GAP : x + GAP).toFixed(1), y: (y + 4.5).toFixed(1), "text-anchor": anchor };
  return drawn("text", { ...where, class: kind }, text);
}

function overlaps(one, other) {
  return one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
}
