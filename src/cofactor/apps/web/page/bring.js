// "Bring your ratings": a csv from another site, chosen or dropped anywhere on the page, and read here alone.

import { ask } from "./api.js";
import { matched, ratingsIn, rescaled } from "./csv.js";
import { byId } from "./elements.js";
import { count, number } from "./words.js";

const LARGEST = 50_000_000; // bytes
const NOT_RATINGS =
  "No ratings were found in it: it needs a column of titles and one of ratings, as Letterboxd, IMDb, Goodreads and " +
  "MovieLens write them.";

/** Takes files of ratings. */
export class Bring {
  constructor(ratings) {
    this.ratings = ratings;
    byId("bring-file").addEventListener("change", ({ target }) => {
      this.take(target.files[0]);
      target.value = "";
    });
    const hasFile = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    addEventListener("dragover", (event) => hasFile(event) && event.preventDefault());
    addEventListener("drop", (event) => {
      if (!hasFile(event)) return;
      event.preventDefault();
      this.take(event.dataTransfer.files[0]);
    });
  }

  async take(file) {
    if (!file) return;
    try {
      this.say(await this.read(file));
    } catch (failure) {
      this.say(failure.inWords ?? "This file cannot be read.");
    }
  }

  async read(file) {
    if (file.size > LARGEST) return "This file is too large to be a list of ratings.";
    const said = ratingsIn(await file.text());
    if (said === null) return NOT_RATINGS;
    const { items, lost } = matched(said.found, await ask("v1/titles"));
    const { scale } = this.ratings;
    this.ratings.rateAll(items.map((one) => ({ ...one, value: rescaled(one.value, said.top, scale) })));
    const missing = lost.length ? ` ${count(lost.length, "title is", "titles are")} not known here.` : "";
    const found = `${number(items.length)} of ${count(said.found.length, "rating")} found.`;
    return `${found}${missing} The file stayed in this browser.`;
  }

  say(words) {
    byId("bring-note").textContent = words;
  }
}
