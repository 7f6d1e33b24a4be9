// Items: find one, see who rated it and how many lists it is in; hide, pin or move it; and the rules for all lists.

import {
  button,
  choice,
  facts,
  field,
  head,
  moment,
  panel,
  problemPlace,
  say,
  table,
  trying,
} from "./admin_parts.js";
import { askAdmin, change } from "./admin_session.js";
import { ask, queryOf } from "./api.js";
import { isolated, make } from "./elements.js";
import { count, known, nameInWords, number, shownTitle, written } from "./words.js";

/** Return the parts of the view of items; of one item, if one is named. */
export async function showItems(item, again) {
  const [rules, attributes, one] = await Promise.all([
    askAdmin("rules"),
    ask("v1/attributes"),
    item && itemParts(item, again),
  ]);
  const problem = problemPlace();
  return [
    head("Items"),
    searchPanel(),
    ...(one || []),
    panel(
      "Rules for all lists",
      make("p", { class: "quiet" }, "They hold for everybody, in every list."),
      problem,
      rulesTable(rules.rules, again, problem),
      listsForm(rules.rules, attributes.attributes, again, problem),
    ),
  ];
}

function searchPanel() {
  const words = make("input", {
    id: "item-search",
    type: "search",
    required: true,
    maxlength: "200",
    spellcheck: "false",
  });
  const found = make("ul", { class: "found-items" });
  const problem = problemPlace();
  const form = make(
    "form",
    { class: "panel" },
    make("div", { class: "fields" }, field("Title", words), make("button", { class: "main-button" }, "Find")),
    problem,
    found,
  );
  form.addEventListener(
    "submit",
    trying(async () => {
      const { items } = await ask(`v1/items?${queryOf({ search: words.value, n: 10 })}`);
      found.replaceChildren(
        ...items.map((one) =>
          make(
            "li",
            {},
            make("a", { href: `#items/${encodeURIComponent(one.item)}` }, isolated(shownTitle(one))),
            ` · ${known(one)}`,
          ),
        ),
      );
      say(items.length ? `${count(items.length, "title")} found` : "No title is like this.");
      if (!items.length) found.replaceChildren(make("li", { class: "quiet" }, "No title is like this."));
    }, problem),
  );
  return form;
}

async function itemParts(item, again) {
  const path = `items/${encodeURIComponent(item)}`;
  const [found, near] = await Promise.all([askAdmin(path), ask(`v1/${path}/similar?n=10`)]);
  const problem = problemPlace();
  const raters = [
    ...found.stored.map((one) => [one, moment(one.rated_at)]),
    ...found.trained.map((one) => [one, "training data"]),
  ];
  return [
    make(
      "section",
      { class: "panel" },
      make("h2", {}, isolated(shownTitle(found))),
      facts({
        Id: found.item,
        "Known as": known(found),
        "In lists": `${percent(found.share)} of the lists of ${count(found.people, "person", "people")}`,
        Rule: found.rule ? ruleInWords(found.rule) : "none",
      }),
      problem,
      ruleForm(path, found, again, problem),
    ),
    make(
      "div",
      { class: "halves" },
      panel(
        "Who rated it",
        table(
          "Raters",
          ["Who", "<Rating", "<From"],
          raters.map(([one, from]) => [
            make("a", { href: `#people/${encodeURIComponent(one.user)}` }, isolated(one.user)),
            written(one.rating),
            from,
          ]),
        ),
      ),
      panel(
        "Nearest",
        table(
          "Nearest titles",
          ["Title", "Cosine"],
          near.items.map((one) => [
            make("a", { href: `#items/${encodeURIComponent(one.item)}` }, isolated(shownTitle(one))),
            one.score.toFixed(2),
          ]),
        ),
      ),
    ),
  ];
}

function ruleForm(path, found, again, problem) {
  const kind = choice("rule-kind", [
    ["hide", "Hide it"],
    ["pin", "Pin it to place"],
    ["up", "Move it up by"],
    ["down", "Move it down by"],
  ]);
  const places = make("input", {
    id: "rule-places",
    type: "number",
    min: "1",
    max: "100",
    value: "1",
    required: true,
  });
  const { pin, boost } = found.rule?.rule ?? {};
  if (pin || boost) {
    kind.value = pin ? "pin" : boost > 0 ? "up" : "down";
    places.value = pin ?? Math.abs(boost);
  }
  const placesField = field("Places", places);
  const fits = () => {
    placesField.hidden = kind.value === "hide";
  };
  kind.addEventListener("change", fits);
  fits();
  const form = make(
    "form",
    { class: "fields" },
    field("In every list", kind),
    placesField,
    make("button", { class: "main-button" }, "Set"),
    found.rule &&
      button(
        "Take back",
        trying(() => taken(`rules/${path}`, again), problem),
      ),
  );
  form.addEventListener(
    "submit",
    trying(async () => {
      const value = Number(places.value);
      const bodies = { hide: { hide: true }, pin: { pin: value }, up: { boost: value }, down: { boost: -value } };
      await change(`rules/${path}`, "PUT", bodies[kind.value]);
      await again();
      say("The rule holds.");
    }, problem),
  );
  return form;
}

function percent(share) {
  return `${number(Math.round(1000 * share) / 10)} %`;
}

async function taken(path, again) {
  await change(path, "DELETE");
  await again();
  say("The rule is taken back.");
}

function rulesTable(rules, again, problem) {
  return table(
    "Rules",
    ["Of", "<Rule", "<By", "<When", "<"],
    rules.map((rule) => {
      const name = rule.item === null ? "all lists" : shownTitle(rule);
      const path = rule.item === null ? "rules/lists" : `rules/items/${encodeURIComponent(rule.item)}`;
      const back = button(
        "Take back",
        trying(() => taken(path, again), problem),
      );
      back.setAttribute("aria-label", `Take back the rule of ${name}`);
      const of =
        rule.item === null ? name : make("a", { href: `#items/${encodeURIComponent(rule.item)}` }, isolated(name));
      return [of, ruleInWords(rule), isolated(rule.by), moment(rule.at), back];
    }),
  );
}

function ruleInWords({ rule, fits }) {
  const { hide, pin, boost, at_most: most, per, diversify, calibrate, strength } = rule;
  const places = (many) => count(Math.abs(many), "place");
  const words = [
    hide && "hidden",
    pin && `pinned to place ${pin}`,
    boost > 0 && `up ${places(boost)}`,
    boost < 0 && `down ${places(boost)}`,
    most && `at most ${most} of each ${per ?? "genres"}`,
    diversify && `varied by ${diversify}`,
    calibrate && `with each person's mix of ${calibrate}`,
    strength != null && `strength ${strength}`,
  ];
  return `${words.filter(Boolean).join(", ")}${fits ? "" : " (the model lacks it, so it does nothing)"}`;
}

/** Return the form of what holds where a request says nothing. */
function listsForm(rules, attributes, again, problem) {
  const columns = attributes.map(({ name }) => [name, nameInWords(name)]);
  if (!columns.length)
    return make("p", { class: "quiet" }, "Nothing is known of the titles that lists could be varied by.");
  const set = rules.find((one) => one.item === null)?.rule ?? {};
  const most = make("input", { id: "at-most", type: "number", min: "1", max: "500", value: set.at_most ?? "" });
  const per = choice("per", columns);
  const vary = choice("vary", [["", "Nothing"], ...columns]);
  const strength = make("input", {
    id: "strength",
    type: "number",
    min: "0",
    max: "1",
    step: "0.05",
    value: set.strength ?? "0.1",
  });
  if (set.per) per.value = set.per;
  vary.value = set.diversify ?? "";
  const form = make(
    "form",
    {},
    make("h3", {}, "Where a request says nothing"),
    make(
      "div",
      { class: "fields" },
      field("At most", most),
      field("Of each", per),
      field("Vary by", vary),
      field("Strength, 0 to 1", strength),
      make("button", { class: "main-button" }, "Set"),
    ),
  );
  form.addEventListener(
    "submit",
    trying(async () => {
      const capped = most.value ? { at_most: Number(most.value), per: per.value } : {};
      const varied = vary.value ? { diversify: vary.value, strength: Number(strength.value) } : {};
      await change("rules/lists", "PUT", { ...capped, ...varied });
      await again();
      say("The rule holds.");
    }, problem),
  );
  return form;
}
