// What the parts of the console are made of: panels, tables, figures, questions.

import { byId, make } from "./elements.js";
import { number } from "./words.js";

const DATE = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
const UNITS = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

/** Return a panel with a heading. */
export function panel(title, ...children) {
  return make("section", { class: "panel" }, make("h2", {}, title), ...children);
}

/** Return the head of a part: its title, and buttons. */
export function head(title, ...buttons) {
  return make("div", { class: "admin-head" }, make("h1", {}, title), ...buttons);
}

/** Return a button. */
export function button(text, onclick, kind = "quiet-button") {
  return make("button", { type: "button", class: kind, onclick }, text);
}

/** Return a table; a head that starts with "<" is of a column of texts. Cells are texts or elements. */
export function table(caption, heads, rows) {
  if (!rows.length) return make("p", { class: "quiet" }, "Nothing yet.");
  const texts = heads.map((one, at) => at === 0 || one.startsWith("<"));
  const names = heads.map((one) => one.replace("<", ""));
  const kind = (at) => (texts[at] ? "text" : null);
  return make(
    "div",
    { class: "table-frame", role: "region", "aria-label": caption, tabindex: "0" },
    make(
      "table",
      {},
      make("caption", { class: "hidden" }, caption),
      make(
        "thead",
        {},
        make(
          "tr",
          {},
          names.map((name, at) => make("th", { scope: "col", class: kind(at) }, name)),
        ),
      ),
      make(
        "tbody",
        {},
        rows.map((cells) =>
          make(
            "tr",
            {},
            cells.map((cell, at) =>
              at ? make("td", { class: kind(at) }, cell ?? "–") : make("th", { scope: "row", class: "text" }, cell),
            ),
          ),
        ),
      ),
    ),
  );
}

/** Return names and what they are. */
export function facts(entries) {
  return make(
    "dl",
    { class: "facts" },
    Object.entries(entries).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value ?? "–")]),
  );
}

/** Return a labelled field. */
export function field(label, input) {
  return make("div", { class: "field" }, make("label", { for: input.id }, label), input);
}

/** Return a choice among options: pairs of value and text. */
export function choice(id, options) {
  return make(
    "select",
    { id },
    options.map(([value, text]) => make("option", { value }, text)),
  );
}

/** Return "3 hours ago", in the largest unit that fits. */
export function ago(seconds) {
  return seconds == null ? null : `${lasting(seconds)} ago`;
}

/** Return "3 hours", in the largest unit that fits. */
export function lasting(seconds) {
  const [name, size] = UNITS.find(([, length]) => seconds >= length) ?? UNITS.at(-1);
  const whole = Math.floor(seconds / size);
  return `${number(whole)} ${name}${whole === 1 ? "" : "s"}`;
}

/** Return a moment, given in seconds since 1970 or as a text. */
export function moment(given) {
  if (given == null) return null;
  return DATE.format(new Date(typeof given === "number" ? 1000 * given : given));
}

/** Return a mean with the bounds of its interval. */
export function figure(given, signed = false) {
  if (!given) return null;
  const [mean, low, high] = given.map((one) => `${signed && one > 0 ? "+" : ""}${one.toFixed(4)}`);
  return `${mean} (${low} to ${high})`;
}

/** Return a metric's name as one writes it. */
export function metricName(name) {
  return name.startsWith("ndcg@") ? `nDCG at ${name.slice(5)}` : name.toUpperCase();
}

/** Tell those who hear the page. */
export function say(text) {
  byId("said").textContent = text;
}

/** Do something for a button, and show beside it what goes wrong. */
export function trying(work, problem) {
  return async (event) => {
    event?.preventDefault();
    problem.textContent = "";
    try {
      await work(event);
    } catch (failure) {
      if (failure.inWords === undefined) throw failure;
      problem.textContent = failure.inWords;
    }
  };
}

/** Return a place for what goes wrong. */
export function problemPlace() {
  return make("p", { class: "problem", role: "alert" });
}

/** Ask before something that cannot be undone; answers whether to do it. */
export function confirmed(title, text, yes) {
  return new Promise((resolve) => {
    const answer = (value) => () => dialog.close(value);
    const dialog = make(
      "dialog",
      { class: "ask-dialog", "aria-labelledby": "ask-title" },
      make("h2", { id: "ask-title" }, title),
      make("p", {}, text),
      make("div", { class: "buttons" }, button("Cancel", answer("")), button(yes, answer("yes"), "main-button")),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
