"""The sections at the end: every figure, the model card, and what is missing from the page, with the reason."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cofactor.evaluation import plots
from cofactor.evaluation.html_report.report_data import ReportData
from cofactor.evaluation.html_report.sections import Section, direction, named, with_interval
from cofactor.evaluation.markup import Markup, count, data, isolated, joined, table, tag
from cofactor.evaluation.metrics import METRICS

__all__ = ["every_figure", "missing", "model_card"]

REASONS = {
    "training": ("Training curves", "the model has no training history."),
    "ranks": (
        "Accuracy by rank",
        "no other rank was asked for: --rank 5 --rank 20 trains them with the same settings.",
    ),
    "calibration": ("Calibration", "the model gives no intervals; those of the Bayesian solver do."),
    "lists": ("Lists", "nobody has a relevant held-out item."),
    "map": ("The map of the items", "the model has no vectors."),
    "users": (
        "Some users and their lists",
        "none was asked for, or nobody with held-out ratings had any in training.",
    ),
}
"""What each optional section is called, and why it is missing if it is."""


def every_figure(content: ReportData) -> Section:
    """Show every metric with its interval: errors, and lists by their length."""
    report = content.report
    lead = (
        f"Measured on {count(report.n_test)} held-out ratings of {count(report.n_users)} users. Below each figure its "
        "95 % interval, by drawing the users with replacement 1,000 times; figures of all lists together have none."
    )
    kinds = dict.fromkeys(name.partition("@")[0] for name in report.metrics if "@" in name)
    lengths = sorted({int(name.partition("@")[2]) for name in report.metrics if "@" in name})
    rows = [[named(kind), *(_cell(content, f"{kind}@{length}") for length in lengths)] for kind in kinds]
    tables = [table("Every metric of lists", ["metric", *(f"@{length}" for length in lengths)], rows)]
    if errors := [name for name in report.metrics if "@" not in name]:
        tables.insert(
            0, table("Every error", [*map(named, errors)], [[_cell(content, name) for name in errors]], texts=0)
        )
    tables.append(_definitions([*errors, *kinds]))
    return Section("figures", "Figures", "Every figure", lead, tag("div", *tables, class_="tables"))


def _definitions(kinds: Sequence[str]) -> Markup:
    """Define every metric on the page; what names one leads here."""
    entries = []
    for kind in kinds:
        metric = METRICS[kind]
        name = tag("dt", plots.capital(metric.label), tag("span", direction(kind), class_="bounds"))
        entries.append(tag("div", name, tag("dd", metric.definition), id=f"metric-{kind}"))
    words = (
        "hit(p) is 1 if the item at place p of a user's list is relevant, else 0; k is the length of the list, and R "
        "the number of the user's relevant items."
    )
    head = [tag("h3", "What they mean"), tag("p", words, class_="quiet")]
    return tag("div", *head, tag("dl", *entries, class_="definitions"), class_="card")


def _cell(content: ReportData, metric: str) -> Markup:
    bounds = with_interval(content.report, metric)
    below = tag("span", bounds, class_="bounds") if bounds != "–" else Markup()
    return joined([data(content.report[metric], metric), below])


def model_card(content: ReportData) -> Section:
    """Say what the model is, what it is for, how it was measured, and what its limitations are."""
    model, origin = content.model, content.model.origin
    settings = _entries({name: _setting(value) for name, value in origin.settings.items()})
    columns = [
        [("What it is", _entries(_identity(content)))],
        [("Settings", settings)] if settings else [],
        [("What it is for", tag("p", _purpose(content))), ("How it was measured", tag("p", _protocol(content)))],
        [("Limitations", tag("ul", *(tag("li", limit) for limit in _limits(content))))],
    ]
    parts = [[tag("div", tag("h3", name), content) for name, content in column] for column in columns if column]
    body = tag("div", *(tag("div", *column) for column in parts), class_="card-grid")
    return Section("card", "Model card", "Model card", f"{model!r}", body)


def _identity(content: ReportData) -> Mapping[str, Any]:
    model, origin = content.model, content.model.origin
    known = {
        "solver": origin.solver,
        "rank": model.rank or "no vectors",
        "biases": "yes" if model.item_bias is not None else "no",
        "trained on": f"{origin.data or 'unnamed data'}, {count(model.seen.nnz)} pairs",
        "users, items": f"{count(model.n_users)}, {count(model.n_items)}",
        "their period": _days(origin.period),
        "trained at": origin.trained_at.replace("T", " ").replace("+00:00", " UTC"),
        "cofactor": origin.version,
        "digest": model.digest,
    }
    return {name: value for name, value in known.items() if value}


def _days(period: tuple[float, float] | None) -> str:
    """Return from what day to what day the training data are."""
    if period is None:
        return ""
    first, last = np.datetime_as_string(np.array(period).astype("datetime64[s]"), unit="D")
    return f"{first} to {last}"


def _setting(value: Any) -> str:
    return (
        "–"
        if value is None or value in ((), [])
        else f"{value:g}"
        if isinstance(value, float) and math.isfinite(value)
        else str(value)
    )


def _entries(entries: Mapping[str, Any]) -> Markup:
    if not entries:
        return Markup()
    pairs = (tag("div", tag("dt", name), tag("dd", isolated(value))) for name, value in entries.items())
    return tag("dl", *pairs, class_="entries")


def _purpose(content: ReportData) -> str:
    if content.predicts:
        return "Predicted ratings of pairs. Lists by predicted rating favour items that few people know: see above."
    return "Top-n lists. Its scores rank items; they are neither ratings nor probabilities."


def _protocol(content: ReportData) -> str:
    report = content.report
    new = report.n_items_without_history
    cold = [f"{count(report.n_without_history)} users"] if report.n_without_history else []
    cold += [f"{count(new)} items"] if new and report.on_new_items == "skip" else []
    among = f", among them {' and '.join(cold)} without history" if cold else ""
    unknown = (
        f" {count(report.n_unknown)} more are of users or items unknown to the model{among}."
        if report.n_unknown
        else ""
    )
    if new and report.on_new_items == "miss":
        unknown += f" {count(new)} of the held-out items nobody had in training, so no list is likely to have them."
    clipped = " Predictions are clipped to the range of the training ratings." if content.model.objective.scale else ""
    without = report.n_without_relevant
    left_out = f"; {count(without)} users have none, and are in no mean over lists" if without else ""
    return (
        f"On the {count(report.n_test)} ratings of the data that were not in its training, of {count(report.n_users)} "
        f"users.{unknown}{clipped} Lists: {report.protocol}, every item relevant that {content.sought}{left_out}. "
        "Baselines and other ranks were trained on what the model was trained on."
    )


def _limits(content: ReportData) -> list[str]:
    held = len(content.held_out) - content.report.n_unknown
    return [
        *(f"{plots.capital(note)}." for note in content.report.notes),
        f"It knows the {count(content.model.n_users)} users and {count(content.model.n_items)} items of its "
        "training; fold_in adds others by what they rate.",
        f"The {count(held)} held-out ratings are of what users came across: an item that a user would like but never "
        "saw counts as a miss.",
        "It learnt from past choices and repeats their biases, above all towards popular items.",
    ]


def missing(anchors: set[str]) -> Section | None:
    """Say what is missing from the page, and why; None if nothing is."""
    entries = [
        joined([tag("b", name), f": {reason}"]) for anchor, (name, reason) in REASONS.items() if anchor not in anchors
    ]
    if not entries:
        return None
    return Section(
        "missing", "Missing", "What is missing, and why", "", tag("ul", *(tag("li", one) for one in entries))
    )
