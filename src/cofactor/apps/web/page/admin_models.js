// Models: the versions beside the one that is served, how each did on the newest ratings, switching between them.

import {
  button,
  confirmed,
  figure,
  head,
  metricName,
  moment,
  panel,
  problemPlace,
  say,
  table,
  trying,
} from "./admin_parts.js";
import { askAdmin, change } from "./admin_session.js";
import { make } from "./elements.js";
import { number } from "./words.js";

const LOOK_MILLISECONDS = 2000;

/** Return the parts of the view of models. */
export async function showModels(_, again) {
  const { refitting, failing, refit_every: every, versions } = await askAdmin("models");
  const problem = problemPlace();
  const refit = button(
    refitting ? "A refit is running" : "Refit now",
    trying(async () => {
      await change("refits", "POST", undefined, { even_if_worse: byChoice(anyway) });
      say("The model is being trained again.");
      await again();
    }, problem),
    "main-button",
  );
  refit.disabled = refitting;
  const anyway = make("input", { type: "checkbox", id: "anyway" });
  if (refitting) setTimeout(() => location.hash === "#models" && again(), LOOK_MILLISECONDS);
  const served = versions.find((one) => one.served);
  return [
    head("Models"),
    panel(
      "Refit",
      make(
        "p",
        { class: "quiet" },
        "Trains again with what is stored, and tries that on the newest ratings first. A model that is significantly " +
          `worse there is kept, but not served${every ? "; this is done by itself, too" : ""}.`,
      ),
      failing && make("p", { class: "is-bad" }, "The last refit failed: the log says why."),
      problem,
      make(
        "div",
        { class: "fields" },
        refit,
        make("label", { for: "anyway" }, anyway, " Serve it even if it is worse"),
      ),
    ),
    panel(
      "Versions",
      make(
        "p",
        { class: "quiet" },
        "Figures of versions are of different ratings: what compares two is the difference.",
      ),
      table(
        "Versions of the model",
        [
          "Version",
          "<State",
          "<Trained",
          "<Asked by",
          "<Figure",
          "<Difference to the one before",
          "<Settings",
          "<",
        ],
        versions.map((one) => [
          one.name,
          state(one),
          moment(one.trained_at),
          one.asked_by ?? "–",
          one.trial ? `${metricName(one.trial.metric)} ${figure(one.trial.figure)}` : "not measured",
          one.trial?.difference
            ? make("span", { class: one.trial.worse ? "is-bad" : null }, figure(one.trial.difference, true))
            : "–",
          settings(one),
          one.served || one.problem ? "" : switching(one, served, problem, again),
        ]),
      ),
    ),
  ];
}

function byChoice(input) {
  return input.checked ? "true" : undefined;
}

function state(one) {
  if (one.served) return make("b", {}, "served");
  if (one.problem) return make("span", { class: "is-bad" }, one.problem);
  return one.trial?.worse ? "worse: not served" : "kept";
}

function settings(one) {
  if (!one.settings) return "–";
  const set = Object.entries(one.settings).filter(([, value]) => value != null);
  return make(
    "details",
    {},
    make("summary", {}, one.solver),
    set.map(([name, value]) => make("div", {}, `${name} ${typeof value === "number" ? number(value) : value}`)),
  );
}

function switching(one, served, problem, again) {
  const back = served && (one.trained_at ?? "") < (served.trained_at ?? "");
  const text = back ? "Roll back" : "Switch";
  const made = button(
    text,
    trying(async () => {
      if (
        !(await confirmed(
          `Serve ${one.name}?`,
          "Everybody's lists are made by it from now on. You can switch back.",
          text,
        ))
      )
        return;
      await askAdmin(`models/${encodeURIComponent(one.name)}/serve`, { method: "POST" });
      say(`${one.name} is served.`);
      await again();
    }, problem),
  );
  made.setAttribute("aria-label", `${text}: serve ${one.name}`);
  return made;
}
