// The page: creates its parts, and passes on what happens in one to the others.

import { Account } from "./account.js";
import { ask } from "./api.js";
import { Bring } from "./bring.js";
import { Connection } from "./connection.js";
import { Deck } from "./deck.js";
import { Details } from "./details.js";
import { byId, holdStill, lastTouched, make } from "./elements.js";
import { ListView } from "./list.js";
import { MapView } from "./map.js";
import { RatedView } from "./rated.js";
import { Ratings } from "./ratings.js";
import { Rows } from "./rows.js";
import { Search } from "./search.js";
import { Stars } from "./stars.js";
import { Uploads } from "./uploads.js";
import { Suggestions } from "./suggestions.js";
import { Filters } from "./filters.js";
import { count, number } from "./words.js";

const ratings = new Ratings();
const uploads = new Uploads(ratings);
const connection = new Connection();
let parts = null;
let model = null;

/** Fetch the model's card, then build what depends on it. */
async function start() {
  try {
    begin(...(await whatIsServed()));
  } catch (failure) {
    connection.lost();
    const again = make("button", { type: "button", class: "main-button" }, "Try again");
    again.addEventListener("click", () => location.reload());
    const words = [make("h3", {}, "Nothing to show yet"), make("p", { class: "quiet" }, failure.inWords)];
    byId("list-state").replaceChildren(make("div", { class: "state" }, words, again));
  }
}

/** Return the card of the model, and what is known of its titles. */
async function whatIsServed() {
  const [card, { attributes }] = await Promise.all([ask("v1/model"), ask("v1/attributes")]);
  return [card, attributes];
}

function begin(card, attributes) {
  const stars = new Stars(ratings, card.scale);
  const rows = new Rows(stars, (item) => details.open(item));
  const filters = new Filters(() => suggestions.refresh());
  const details = new Details(ratings, rows, () => suggestions.choice);
  const open = (item) => details.open(item);
  const view = new ListView(byId("list"), rows);
  const suggestions = new Suggestions({ ratings, uploads, view, filters, connection, onList });
  parts = { stars, rows, filters, suggestions, rated: new RatedView(ratings, stars, open) };
  parts.map = new MapView(ratings, open);
  parts.account = new Account({ ratings, uploads, onChange: everythingChanged });
  new Search(ratings, stars, pick);
  new Bring(ratings);
  new Deck(ratings, card.scale).start();
  describe(card, attributes);
  listen();
  parts.rated.show();
  everythingChanged();
}

function listen() {
  ratings.addEventListener("change", ({ detail: { items, since } }) => {
    parts.suggestions.refresh({ items, since });
    holdStill(lastTouched(), showRatings);
  });
  ratings.addEventListener("replaced", ({ detail: { newOwner } }) => {
    showRatings();
    parts.account.show();
    if (newOwner || ratings.owner === null) parts.suggestions.refresh({ quiet: true });
  });
  connection.addEventListener("back", everythingChanged);
  connection.addEventListener("token-needed", () => {
    parts.account.needsToken = true;
    parts.account.open("The service needs a token to store ratings.");
  });
}

function showRatings() {
  parts.stars.showAll();
  parts.rated.show();
  parts.map.light();
}

/** Fetch what may have changed: a user's ratings, the list. */
async function everythingChanged() {
  parts.suggestions.refresh();
  if (ratings.owner === null) return;
  try {
    await uploads.fetch();
  } catch (failure) {
    if (failure.isSilence) connection.lost();
  }
}

async function onList(list, items) {
  if (model !== null && list.model !== model) describe(...(await whatIsServed()));
  model = list.model;
  parts.rated.unknown = new Set(list.unknown ?? []);
  parts.rated.show();
  parts.map.light(new Set(list.items.map(({ item }) => item)));
  for (const item of items ?? []) if (ratings.get(item)) predict(item);
}

/** Fetch what the model would have predicted, now that the visitor has rated. */
async function predict(item) {
  const known = ratings.sent(item);
  if (parts.goal !== "rating" || !known.length || ratings.get(item).predicted != null) return;
  try {
    const { score } = await ask("v1/explanations", { method: "POST", body: { ratings: known, item } });
    if (score === null) return;
    ratings.predict(item, score);
    parts.stars.showAll();
  } catch {
    // the prediction is optional
  }
}

/** Show a title that was searched for, ready to be rated. */
function pick(item) {
  const row = parts.rows.row(item, "div");
  byId("picked").replaceChildren(row);
  byId("picked").hidden = false;
  row.querySelector("input:checked").focus();
}

function describe(card, attributes) {
  const { low, high } = ratings.scale;
  if (parts.goal && (low !== card.scale.low || high !== card.scale.high)) location.reload(); // other stars
  ratings.scale = card.scale;
  parts.goal = card.goal;
  parts.filters.offer(card, attributes);
  parts.account.needsToken = card.needs_token;
  const date = card.trained_at && new Date(card.trained_at).toLocaleDateString("en", { dateStyle: "long" });
  byId("model-card").textContent =
    `${card.solver} of rank ${number(card.rank)}, trained on ${count(card.ratings, "rating")} of ` +
    `${count(card.items, "title")} by ${count(card.users, "person", "people")}${date ? `, on ${date}` : ""}.`;
}

start();
