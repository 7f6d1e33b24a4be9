// A row of a list: position and move, title, what is known, reasons, stars.

import { cover } from "./covers.js";
import { heard, icon, isolated, make } from "./elements.js";
import { isLiked } from "./scale.js";
import { known, movedInWords, number, shownTitle, starsInWords } from "./words.js";

/** Makes rows. */
export class Rows {
  constructor(stars, onDetails) {
    this.stars = stars;
    this.onDetails = onDetails;
  }

  /** Return a new row for an item; `update` changes it later. */
  row(item, tag = "li") {
    const title = make("button", { type: "button", class: "title-button", "aria-haspopup": "dialog" });
    title.append(isolated(shownTitle(item)));
    title.addEventListener("click", () => this.onDetails(item));
    const row = make(
      tag, { class: "row", "data-item": item.item },
      make("div", { class: "position" }), cover(item),
      make(
        "div", { class: "what" },
        make("h3", { class: "title" }, title),
        make("p", { class: "known" }, known(item)),
        make("p", { class: "because" }),
      ),
      make("div", { class: "own" }, this.stars.of(item), this.stars.remarkOf(item)),
    );
    this.update(row, item);
    return row;
  }

  /** Show an item's current position, move and reasons. */
  update(row, item) {
    row.querySelector(".position").replaceChildren(...this.position(item));
    const because = row.querySelector(".because");
    because.replaceChildren(...this.reasons(item.reasons ?? []));
    because.hidden = !because.hasChildNodes();
    row.classList.remove("is-rated");
  }

  /** Show that a row has just been rated, and is no suggestion any more. */
  settle(row) {
    row.classList.add("is-rated");
    row.querySelector(".position").replaceChildren(icon("check"), heard("Rated"));
  }

  position(item) {
    if (!item.position) return [];
    const parts = [make("span", { class: "number" }, number(item.position))];
    if (!("moved" in item) || item.moved === 0) return parts;
    return [...parts, moveMark(item)];
  }

  /** Return the nodes that name the reasons: what was liked, then other ratings that raised the score. */
  reasons(reasons) {
    const liked = reasons.filter(({ rating }) => isLiked(rating, this.stars.scale));
    const others = reasons.filter((reason) => !liked.includes(reason));
    const parts = [];
    if (liked.length) parts.push("Because you liked ", ...joined(liked.map(titled)));
    if (others.length) parts.push(parts.length ? ", and gave " : "Because you gave ", ...this.given(others));
    return parts;
  }

  given(reasons) {
    return joined(reasons.map((reason) => [...titled(reason), ` ${starsInWords(reason.rating, this.stars.scale)}`]));
  }
}

function titled(reason) {
  return [make("b", {}, isolated(shownTitle(reason)))];
}

function joined(phrases) {
  return phrases.flatMap((phrase, at) => (at ? [" and ", ...phrase] : phrase));
}

/** Return the mark of a move; an item that was not in the list before is marked as new. */
function moveMark(item) {
  const words = movedInWords(item);
  if (item.moved == null) return make("span", { class: "move is-up" }, "new");
  const rose = item.moved > 0;
  return make(
    "span", { class: `move ${rose ? "is-up" : "is-down"}`, title: words },
    icon(rose ? "up" : "down"), make("span", { "aria-hidden": "true" }, number(Math.abs(item.moved))), heard(words),
  );
}
