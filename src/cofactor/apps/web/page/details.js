// The drawer of one item: its stars, why it is suggested, and similar items.

import { ask } from "./api.js";
import { byId, icon, isolated, make } from "./elements.js";
import { count, known, number, shownTitle, starsInWords } from "./words.js";

const SIMILAR = 8;
const MOST_SHARES = 6;

/** Opens the drawer of an item. */
export class Details {
  constructor(ratings, rows, choice) {
    Object.assign(this, { ratings, rows, choice });
    this.dialog = byId("details");
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close(); // a click beside the drawer
    });
  }

  /** Show an item at once, and what has to be fetched when it comes. */
  open(item) {
    this.item = item;
    const why = make("section", { "aria-busy": "true" });
    const similar = make("section", { class: "similar", "aria-busy": "true" });
    this.dialog.replaceChildren(make("div", { class: "drawer-body" }, this.head(item), why, similar));
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.scrollTop = 0;
    this.fill(this.dialog.querySelector(".known"), item, () => this.known(item));
    this.fill(similar, item, () => this.similar(item));
    this.fill(why, item, () => this.why(item));
  }

  head(item) {
    const close = make("button", { type: "button", class: "icon-button", "aria-label": "Close" }, icon("close"));
    close.addEventListener("click", () => this.dialog.close());
    const { stars } = this.rows;
    return make(
      "header", {},
      make("div", { class: "heading" }, make("h2", { id: "details-title" }, isolated(shownTitle(item))), close),
      make("p", { class: "known" }),
      make("div", { class: "own" }, stars.of(item), stars.remarkOf(item)),
    );
  }

  async fill(section, item, parts) {
    try {
      const found = await parts();
      if (this.item === item) section.replaceChildren(...found);
    } catch (failure) {
      section.replaceChildren(make("p", { class: "quiet" }, failure.inWords));
    }
    section.setAttribute("aria-busy", "false");
  }

  async known(item) {
    return [known(item.genres ? item : await ask(`v1/items/${encodeURIComponent(item.item)}`))];
  }

  async similar(item) {
    const { items } = await ask(`v1/items/${encodeURIComponent(item.item)}/similar?n=${SIMILAR}`);
    if (!items.length) return [];
    const plain = items.map(({ position, ...rest }) => rest); // positions among similar items say little
    const list = make("ol", { class: "rows" }, plain.map((one) => this.rows.row(one)));
    return [make("h3", {}, "Similar titles"), list];
  }

  async why(item) {
    const ratings = this.ratings.sent(item.item);
    if (!ratings.length) return [];
    const body = { ratings, item: item.item, ...this.choice() };
    const found = await ask("v1/explanations", { method: "POST", body });
    const shares = found.reasons.filter((reason) => agrees(reason, found.position)).slice(0, MOST_SHARES);
    if (found.popular || !shares.length) return [];
    const reach = Math.max(...shares.map(({ share }) => Math.abs(share)));
    const { position } = found;
    const where = position ? `At place ${number(position)} of your list.` : this.outside(item);
    return [
      make("h3", {}, this.ratings.get(item.item) ? "What spoke for and against it" : "Why it is at this place"),
      make("p", { class: "quiet" }, `${where} What weighs most of ${count(ratings.length, "rating")}:`),
      make("ul", { class: "shares" }, shares.map((reason) => this.share(reason, reach, found.position))),
    ];
  }

  /** Say that a suggestion's filters leave a title out; of a rated one that is no news. */
  outside(item) {
    return this.ratings.get(item.item) ? "" : "It is not in your list as it is filtered now.";
  }

  share(reason, reach, position) {
    const bar = make("span", { class: `bar ${reason.share > 0 ? "is-for" : "is-against"}`, "aria-hidden": "true" });
    bar.style.inlineSize = `${(100 * Math.abs(reason.share)) / reach}%`;
    const without = reason.position_without;
    const moved = without && position && without !== position ? ` · without it at place ${number(without)}` : "";
    return make(
      "li", {},
      make("p", {}, isolated(shownTitle(reason)), " ",
        make("span", { class: "quiet" }, `${starsInWords(reason.rating, this.rows.stars.scale)}, `,
          reason.share > 0 ? "for it" : "against it", moved)),
      make("span", { class: "track", "aria-hidden": "true" }, bar),
    );
  }
}

/** Tell whether a rating did to the position what it did to the score: one for a title that stands higher without it
 * would only confuse. */
function agrees({ share, position_without: without }, position) {
  if (share === 0 || !position || !without) return share !== 0;
  return share > 0 ? without > position || (without === 1 && position === 1) : without < position;
}
