// The overview: what is served and how good it is, what is asked, the store, what is rated, background work.

import { ago, button, facts, figure, head, lasting, metricName, moment, panel, table } from "./admin_parts.js";
import { askAdmin } from "./admin_session.js";
import { drawn, make } from "./elements.js";
import { count, number } from "./words.js";

const WIDTH = 360;
const CHART_HEIGHT = 90;

/** Return the parts of the overview. */
export async function showOverview(_, again) {
  const found = await askAdmin("overview");
  return [
    head("Overview", button("Refresh", again)),
    make("div", { class: "halves" }, modelPanel(found), qualityPanel(found.served.trial)),
    make("div", { class: "halves" }, daysPanel(found.days), storePanel(found)),
    panel(
      "Requests",
      make("p", { class: "quiet" }, "Since the service started, by all its processes."),
      table(
        "Requests by route",
        ["Route", "Requests", "Refused", "Failed", "p50, ms", "p95, ms", "p99, ms"],
        found.routes
          .toSorted((a, b) => b.requests - a.requests)
          .map((one) => [
            one.route,
            number(one.requests),
            number(one.refused),
            bad(one.failed),
            ...["p50_ms", "p95_ms", "p99_ms"].map((name) =>
              one[name] == null ? "over 5,000" : one[name].toFixed(1),
            ),
          ]),
      ),
    ),
    panel(
      "Background work",
      table(
        "Background work",
        ["Work", "<State", "Last well"],
        found.jobs.map((job) => [
          job.name,
          job.failing ? bad(`fails: ${job.failing}`) : "well",
          ago(job.ended_seconds),
        ]),
      ),
    ),
  ];
}

function bad(value) {
  return value ? make("span", { class: "is-bad" }, typeof value === "number" ? number(value) : value) : "0";
}

function modelPanel({ served, refitting, refit_every: every, workers }) {
  return panel(
    "Model",
    facts({
      Solver: served.solver,
      File: served.version,
      Trained: served.trained_at && moment(served.trained_at),
      Age: served.age_seconds == null ? "unknown" : lasting(served.age_seconds),
      "Served for": lasting(served.loaded_seconds),
      Holds: [
        count(served.ratings, "rating"),
        `of ${count(served.items, "item")}`,
        `by ${count(served.users, "person", "people")}`,
      ].join(" "),
      Refits: refitting ? "one is running" : every ? `every ${lasting(every)}` : "when somebody asks",
      Workers: number(workers),
      Digest: served.model,
    }),
  );
}

function qualityPanel(trial) {
  const title = "How good it is";
  if (!trial) {
    return panel(
      title,
      make(
        "p",
        { class: "quiet" },
        "Nothing was measured when this model was trained. A refit measures it on the newest ratings.",
      ),
    );
  }
  const base = trial.metric === "rmse" ? "Biases alone" : "Popular items";
  const rows = [
    ["This model", trial.figure],
    ["The one before", trial.before],
    [base, trial.baseline],
  ].filter(([, one]) => one);
  const held = trial.held_out === "newest" ? "the newest ratings" : "ratings at random";
  return panel(
    `${title}: ${metricName(trial.metric)}`,
    intervals(rows),
    make(
      "p",
      { class: "quiet" },
      `Measured on ${held}, held out: ${number(trial.n_test)} of ${count(trial.n_users, "person", "people")}. ` +
        `${trial.metric === "rmse" ? "Less" : "More"} is better; 95 % intervals.`,
    ),
    trial.difference &&
      make(
        "p",
        {},
        `Against the one before: ${figure(trial.difference, true)}`,
        trial.worse ? make("span", { class: "is-bad" }, " · significantly worse") : "",
      ),
  );
}

/** Draw means with their intervals; each is written, too. */
function intervals(rows) {
  const ends = rows.flatMap(([, given]) => given);
  const [least, most] = [Math.min(...ends, 0), Math.max(...ends)];
  const at = (value) => 10 + ((WIDTH - 20) * (value - least)) / (most - least || 1);
  const height = 46 * rows.length;
  return drawn(
    "svg",
    {
      class: "chart",
      viewBox: `0 0 ${WIDTH} ${height}`,
      role: "img",
      "aria-label": rows.map(([name, given]) => `${name}: ${figure(given)}`).join("; "),
    },
    rows.flatMap(([name, given], row) => {
      const [mean, low, high] = given;
      const y = 46 * row + 32;
      return [
        drawn("text", { x: 10, y: y - 14 }, name),
        drawn("text", { x: WIDTH - 10, y: y - 14, "text-anchor": "end", class: "is-quiet" }, figure(given)),
        drawn("line", { x1: at(low), x2: at(high), y1: y, y2: y, class: "whisker" }),
        drawn("circle", { cx: at(mean), cy: y, r: 6, class: row ? "dot" : "dot is-own" }),
      ];
    }),
  );
}

function daysPanel(days) {
  if (!days) return panel("Ratings a day", make("p", { class: "problem" }, "The ratings store does not answer."));
  const most = Math.max(...days.map((day) => day.ratings), 1);
  const wide = WIDTH / days.length;
  const [base, tall] = [CHART_HEIGHT - 2, CHART_HEIGHT - 10];
  const total = days.reduce((sum, day) => sum + day.ratings, 0);
  const chart = drawn(
    "svg",
    {
      class: "chart",
      viewBox: `0 0 ${WIDTH} ${CHART_HEIGHT}`,
      role: "img",
      "aria-label": `${count(total, "rating")} in ${days.length} days, at most ${number(most)} a day`,
    },
    days.map((day, at) =>
      drawn("rect", {
        class: "column",
        x: at * wide + 1,
        width: wide - 2,
        y: base - (tall * day.ratings) / most,
        height: (tall * day.ratings) / most,
      }),
    ),
    drawn("line", { class: "base", x1: 0, x2: WIDTH, y1: base + 0.5, y2: base + 0.5 }),
  );
  return panel(
    "Ratings a day",
    make("p", { class: "quiet" }, `${count(total, "rating")} in ${days.length} days, UTC.`),
    chart,
    make(
      "details",
      {},
      make("summary", {}, "As a table"),
      table(
        "Ratings a day",
        ["Day", "Ratings", "People"],
        days
          .toReversed()
          .map((day) => [
            new Date(1000 * day.day).toISOString().slice(0, 10),
            number(day.ratings),
            number(day.people),
          ]),
      ),
    ),
  );
}

function storePanel({ store, memory_bytes: bytes }) {
  return panel(
    "Store",
    facts({
      Where: store.where,
      State: store.state === "current" ? "answers" : bad(`${store.state}, for ${lasting(store.away_seconds ?? 0)}`),
      Ratings: number(store.stored_ratings),
      Memory: `${number(Math.round(bytes / 2 ** 20))} MB in the process that answered`,
    }),
  );
}
