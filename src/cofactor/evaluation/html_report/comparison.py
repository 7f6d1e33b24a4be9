"""The verdict at the top of the page, and where one model is better than the other."""

from collections.abc import Sequence

from cofactor.evaluation import plots
from cofactor.evaluation.html_report.report_data import ReportData
from cofactor.evaluation.html_report.sections import Section, named
from cofactor.evaluation.markup import Markup, count, data, decimals, isolated, joined, table, tag
from cofactor.evaluation.metrics import METRICS, label_of
from cofactor.evaluation.segments import FEWEST, Segment, Segments
from cofactor.evaluation.significance import difference_of, paired

__all__ = ["by_segment", "compared", "first_line"]


def first_line(content: ReportData) -> Markup:
    """Say which model is better, by how much, and how sure that is; nothing if there is no other."""
    told = content.verdict
    if told is None:
        return Markup()
    kind = {1: "better", 0: "open", -1: "worse"}[told.sign]
    return tag("p", tag("b", told.who), f": {told.by_how_much}.", class_=f"verdict {kind}")


def compared(content: ReportData) -> Section | None:
    """Compare every metric of users with the other model's; None if none was named."""
    other = content.against
    if other is None:
        return None
    ours, theirs = content.report, other.report
    names = [name for name in ours.measured_users().columns if name in theirs.measured_users().columns]
    shown = [name for name in names if "@" not in name or name.endswith(f"@{content.length}")]
    rows = [
        (
            named(name),
            data(ours[name], name),
            data(theirs[name], f"{other.label} {name}"),
            _difference(*difference_of(name, *paired(ours, theirs, name)), METRICS[name.partition("@")[0]].better),
        )
        for name in shown
    ]
    heads = ["metric", content.name, other.label, "difference"]
    left_out = (
        f" {count(content.n_left_out)} held-out ratings are left out, since one of the two was trained on them or "
        "knows nothing of the user or the item."
        if content.n_left_out
        else ""
    )
    lead = (
        f"Both models on the same {count(ours.n_test)} held-out ratings of {count(ours.n_users)} users. Below each "
        f"difference its 95 % interval over users; it is bold where that excludes 0.{left_out}"
    )
    body = tag("div", table("Both models, metric by metric", heads, rows), class_="card whole")
    return Section("compared", "Compared", f"Against {other.label}", lead, body)


def _difference(mean: float, low: float, high: float, better: str | None) -> Markup:
    """Write a difference with its interval: bold if it is clear, coloured if one direction is better."""
    clear = not low <= 0 <= high
    kind = None
    if clear and better is not None:
        kind = "gain" if (mean > 0) == (better == "higher") else "loss"
    text = _signed(mean)
    shown = tag("b", text, class_=kind) if clear else text
    between = [tag("span", text) for text in (_signed(low), f"to {_signed(high)}")]  # each in one piece
    return joined([shown, tag("span", between[0], " ", between[1], class_="bounds between")])


def _signed(value: float) -> str:
    return "–" if value != value else f"{value:+.4f}".replace("-", "−")


def by_segment(content: ReportData) -> Section | None:
    """Compare the two models by segments; None if there are none."""
    told = content.verdict
    if told is None or content.other is None or not content.by_segment:
        return None
    n_parts = sum(len(one.parts) for one in content.by_segment)
    clear = sum(part.is_clear for one in content.by_segment for part in one.parts)
    lead = joined(
        [
            isolated(content.name), " against ", isolated(content.other.label),
            f". Groups of users are compared by {label_of(told.found.metric)}, groups of items by the share of what "
            f"{content.sought} that the lists find: recall at {content.length}. {clear} of {n_parts} differences are "
            f"clear; by chance alone about {max(1, round(n_parts / 20))} of {n_parts} would be. Groups with a figure "
            f"for fewer than {FEWEST} users are left out.",
        ]
    )  # fmt: skip
    tables = [_table(content, one, content.other.label) for one in content.by_segment]
    return Section(
        "segments", "Segments", "For whom, and with which items", lead, tag("div", *tables, class_="columns")
    )


def _table(content: ReportData, one: Segments, other: str) -> Markup:
    """Return the table of one property."""
    title = f"{'Users' if one.side == 'user' else 'Items'} by {one.by}"
    better = METRICS[one.metric.partition("@")[0]].better
    rows = [_row(one, part, better) for part in one.parts]
    heads = [one.side + "s", content.name, other, "difference"]
    left_out = f" {count(one.left_out)} smaller groups are not shown." if one.left_out else ""
    note = f"{plots.capital(label_of(one.metric))}, {better} is better.{left_out}"
    head = tag("header", tag("h3", title), tag("p", note, class_="quiet"))
    return tag("div", head, table(title, heads, rows), class_="card")


def _row(one: Segments, part: Segment, better: str | None) -> Sequence[str | Markup]:
    return (
        joined([isolated(part.label), tag("span", f"{count(part.n)} {one.side}s", class_="bounds")]),
        decimals(part.value),
        decimals(part.other),
        _difference(part.mean, part.low, part.high, better),
    )
