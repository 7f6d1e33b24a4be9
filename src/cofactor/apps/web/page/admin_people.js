// People: look anyone up, see their ratings and list, try the list without some, hand their data out, erase them.

import { button, confirmed, field, head, moment, panel, problemPlace, say, table, trying } from "./admin_parts.js";
import { askAdmin, asking } from "./admin_session.js";
import { userPath } from "./api.js";
import { byId, isolated, make } from "./elements.js";
import { movedInWords, shownTitle, written } from "./words.js";

const LENGTH = 20;

/** Return the parts of the view of people; of one person, if one is named. */
export async function showPeople(user, again) {
  const name = make("input", {
    id: "person",
    type: "text",
    required: true,
    maxlength: "200",
    value: user,
    spellcheck: "false",
  });
  const look = make(
    "form",
    { class: "panel" },
    make(
      "div",
      { class: "fields" },
      field("Id or name", name),
      make("button", { class: "main-button" }, "Look up"),
    ),
  );
  look.addEventListener("submit", (event) => {
    event.preventDefault();
    const next = `#people/${encodeURIComponent(name.value.trim())}`;
    if (location.hash === next) again();
    else location.hash = next;
  });
  if (!user) return [head("People"), look];
  const [person, list] = await Promise.all([askAdmin(`users/${encodeURIComponent(user)}`), tried(user, [])]);
  if (!person.in_model && !person.ratings.length) {
    return [
      head("People"),
      look,
      make("p", {}, "Nothing is known of ", isolated(user), ": they get the popular list."),
    ];
  }
  const problem = problemPlace();
  const listPlace = make("div", {}, listTable(list));
  return [
    head(
      "People",
      button("Export", () => handOut(person)),
      button(
        "Erase",
        trying(() => erase(user, again), problem),
        "quiet-button danger",
      ),
    ),
    look,
    problem,
    make(
      "div",
      { class: "halves" },
      history(user, person, listPlace, problem),
      panel(
        "Their list",
        make("p", { class: "quiet" }, "With the rules for all lists, and the ratings that raised each title most."),
        listPlace,
      ),
    ),
  ];
}

function tried(user, without) {
  return askAdmin(`users/${encodeURIComponent(user)}/what-if`, { method: "POST", body: { without, n: LENGTH } });
}

function history(user, person, listPlace, problem) {
  const left = new Set();
  const toggle = (one) => {
    const box = make("input", { type: "checkbox", checked: true, "aria-label": `${shownTitle(one)} counts` });
    box.addEventListener(
      "change",
      trying(async () => {
        if (box.checked) left.delete(one.item);
        else left.add(one.item);
        const asked = [...left];
        const list = await tried(user, asked);
        if (asked.length !== left.size || asked.some((item) => !left.has(item))) return;
        listPlace.replaceChildren(listTable(list, left.size));
        say(
          `The list without ${left.size} of the ratings. ` +
            `First is ${list.items.length ? shownTitle(list.items[0]) : "nothing"}.`,
        );
      }, problem),
    );
    return box;
  };
  return panel(
    "Their ratings",
    make(
      "p",
      { class: "quiet" },
      "Take one out to see the list that there would be without it. Nothing is stored.",
    ),
    table(
      "Ratings",
      ["Title", "<Rating", "<From", "<Counts"],
      person.ratings.map((one) => [
        link(one),
        one.rating === null ? "deleted" : written(one.rating),
        one.source === "trained" ? "training data" : moment(one.rated_at),
        one.rating === null ? "" : toggle(one),
      ]),
    ),
  );
}

function listTable(list, without = 0) {
  const rows = list.items.map((item) => [
    link(item),
    `${item.position}`,
    without ? movedInWords(item) : item.pinned ? "pinned" : "",
    (item.reasons ?? []).map((reason) => shownTitle(reason)).join(", ") || (list.popular ? "popular" : ""),
  ]);
  return table("List", ["Title", "Place", without ? "<Against now" : "<Rule", "<Because of"], rows);
}

function link(item) {
  return make("a", { href: `#items/${encodeURIComponent(item.item)}` }, isolated(shownTitle(item)));
}

/** Give all that is known of a person as a file. */
function handOut(person) {
  const file = new Blob([JSON.stringify(person, null, 2)], { type: "application/json" });
  const address = URL.createObjectURL(file);
  make("a", { href: address, download: `${person.user}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

async function erase(user, again) {
  const text = `All ratings of ${user} are deleted from the store and the model's files. This cannot be undone.`;
  if (!(await confirmed(`Erase ${user}?`, text, "Erase for good"))) return;
  const { in_model_file: left } = await asking(userPath(user), { method: "DELETE" });
  await again();
  say(`${user} is erased.`);
  if (left)
    byId("content").append(
      make(
        "p",
        { class: "problem", role: "alert" },
        "The model's file cannot be written: make one without them by 'cofactor forget'.",
      ),
    );
}
