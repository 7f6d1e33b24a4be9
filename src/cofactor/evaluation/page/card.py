"""The sections at the end: every figure, the model card, and what the page has not, with the reason."""

import math
from collections.abc import Mapping
from typing import Any

from cofactor.evaluation.page.about_model import with_interval
from cofactor.evaluation.page.markup import Markup, count, data, isolated, joined, table, tag
from cofactor.evaluation.page.material import Material
from cofactor.evaluation.page.section import Section

__all__ = ["every_figure", "missing", "model_card"]

REASONS = {
    "training": ("Training curves", "the model holds no history."),
    "ranks": (
        "Accuracy by rank",
        "no other rank was asked for: --rank 5 --rank 20 trains them with the same settings.",
    ),
    "calibration": ("Calibration", "the model does not say how sure it is; the Bayesian solver's models do."),
    "lists": ("Lists", "nobody has anything relevant held out."),
    "map": ("The map of the items", "the model has no vectors."),
    "people": (
        "Some people and their lists",
        "none was asked for, or nobody with held-out ratings had any in training.",
    ),
}
"""What each section that may be left out is called, and why it is where it is."""


def every_figure(material: Material) -> Section:
    """Show every metric with its interval: errors, and lists by their length."""
    report = material.report
    lead = (
        f"Measured on {count(report.n_test)} held-out ratings of {count(report.n_users)} users. Below each figure its "
        "95 % interval, by drawing the users anew 1,000 times; figures of all lists together have none."
    )
    kinds = dict.fromkeys(name.partition("@")[0] for name in report.metrics if "@" in name)
    lengths = sorted({int(name.partition("@")[2]) for name in report.metrics if "@" in name})
    rows = [[kind, *(_cell(material, f"{kind}@{length}") for length in lengths)] for kind in kinds]
    tables = [table("Every metric of lists", ["metric", *(f"@{length}" for length in lengths)], rows)]
    if errors := [name for name in report.metrics if "@" not in name]:
        tables.insert(0, table("Every error", errors, [[_cell(material, name) for name in errors]], texts=0))
    return Section("figures", "Figures", "Every figure", lead, tag("div", *tables, class_="tables"))


def _cell(material: Material, metric: str) -> Markup:
    bounds = with_interval(material.report, metric)
    below = tag("span", bounds, class_="bounds") if bounds != "–" else Markup()
    return joined([data(material.report[metric], metric), below])


def model_card(material: Material) -> Section:
    """Say what the model is, what it is for, how it was measured, and what it cannot."""
    model, origin = material.model, material.model.origin
    settings = _entries({name: _setting(value) for name, value in origin.settings.items()})
    columns = [
        [("What it is", _entries(_identity(material)))],
        [("Settings", settings)] if settings else [],
        [("What it is for", tag("p", _purpose(material))), ("How it was measured", tag("p", _protocol(material)))],
        [("What it cannot", tag("ul", *(tag("li", limit) for limit in _limits(material))))],
    ]
    parts = [[tag("div", tag("h3", name), content) for name, content in column] for column in columns if column]
    body = tag("div", *(tag("div", *column) for column in parts), class_="card-grid")
    return Section("card", "Model card", "Model card", f"{model!r}", body)


def _identity(material: Material) -> Mapping[str, Any]:
    model, origin = material.model, material.model.origin
    known = {
        "solver": origin.solver,
        "rank": model.rank or "no vectors",
        "biases": "yes" if model.item_bias is not None else "no",
        "trained on": f"{origin.data or 'unnamed data'}, {count(model.seen.nnz)} pairs",
        "users, items": f"{count(model.n_users)}, {count(model.n_items)}",
        "trained at": origin.trained_at.replace("T", " ").replace("+00:00", " UTC"),
        "cofactor": origin.version,
        "digest": model.digest,
    }
    return {name: value for name, value in known.items() if value}


def _setting(value: Any) -> str:
    return "–" if value is None else f"{value:g}" if isinstance(value, float) and math.isfinite(value) else str(value)


def _entries(entries: Mapping[str, Any]) -> Markup:
    if not entries:
        return Markup()
    pairs = (tag("div", tag("dt", name), tag("dd", isolated(value))) for name, value in entries.items())
    return tag("dl", *pairs, class_="entries")


def _purpose(material: Material) -> str:
    if material.predicts:
        return "Predicted ratings of pairs. Lists by predicted rating favour what few people know: see above."
    return "Top-n lists. Its scores put items in order; they are no ratings and no probabilities."


def _protocol(material: Material) -> str:
    report = material.report
    unknown = (
        f" {count(report.n_unknown)} more are of people or items that the model knows not." if report.n_unknown else ""
    )
    clipped = (
        " Predictions are kept within the range of the training ratings." if material.model.objective.scale else ""
    )
    without = report.n_without_relevant
    left_out = f"; {count(without)} users have none, and are in no mean over lists" if without else ""
    return (
        f"On the {count(report.n_test)} ratings of the data that were not in its training, of {count(report.n_users)} "
        f"users.{unknown}{clipped} Lists: {report.protocol}, every item relevant that {material.sought}{left_out}. "
        "Baselines and other ranks were trained on what the model was trained on."
    )


def _limits(material: Material) -> list[str]:
    held = len(material.held_out) - material.report.n_unknown
    return [
        f"It knows the {count(material.model.n_users)} users and {count(material.model.n_items)} items of its "
        "training; fold_in places others by what they rate.",
        f"What was held out ({count(held)} ratings) was chosen by people out of what they came across: an item that "
        "nobody saw counts as a miss even where it would be liked.",
        "It learnt from past choices, and repeats what made them, popularity first of all.",
    ]


def missing(anchors: set[str]) -> Section | None:
    """Say what the page has not, and why; None where it has everything."""
    entries = [
        joined([tag("b", name), f": {reason}"]) for anchor, (name, reason) in REASONS.items() if anchor not in anchors
    ]
    if not entries:
        return None
    return Section(
        "missing", "Not here", "What is not here, and why", "", tag("ul", *(tag("li", one) for one in entries))
    )
