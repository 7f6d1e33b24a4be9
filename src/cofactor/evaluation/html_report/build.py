"""report_page: a model and data in, one self-contained HTML page out."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from cofactor.data.interactions import Interactions
from cofactor.evaluation.html_report import comparison, model_card, people, sections
from cofactor.evaluation.html_report.report_data import ReportData, collect
from cofactor.evaluation.html_report.sections import Section
from cofactor.evaluation.markup import Markup, count, isolated, joined, tag
from cofactor.model.factors import Factors

__all__ = ["report_page", "written_page"]

FOLDER = Path(__file__).parent


def report_page(
    model: Factors,
    ratings: Interactions,
    *,
    name: str = "",
    k: int | Sequence[int] | None = None,
    relevant_from: float | None = None,
    ranks: Sequence[int] = (),
    examples: int = 3,
    against: Factors | None = None,
    against_name: str = "",
    by: Sequence[str] | None = None,
    done: Callable[[float, str], None] | None = None,
) -> str:
    """Return a page about a model: whether it is better than another, for whom, its lists, map and model card.

    The page is one HTML text that needs no other file and no network. Every figure on it is measured by `evaluate` on
    those of the ratings that the model was not trained on.

    Parameters
    ----------
    model : Factors
    ratings : Interactions
        Held-out ratings; those that the model was trained on may be among them, and are not measured. Ids are matched.
    name : str
        What the page calls the model; its solver's name if not given.
    k : int or several, optional
        The lengths of lists to measure, besides some for curves. Single figures are of the largest, or of 10.
    relevant_from : float, optional
        From which value on a held-out rating is relevant in lists; see `cofactor.evaluation.evaluate`.
    ranks : sequence of int
        Other ranks to compare: the model's solver is trained anew for each, with the same settings, on what the model
        was trained on.
    examples : int
        How many users to show with what they had and their list; 0 for a page without personal data.
    against : Factors, optional
        Another model to compare with, by what neither was trained on and both can be measured on. The first line says
        which is better by how much, the lists of both are side by side. If not given, the model is compared with the
        best baseline.
    against_name : str
        What the page calls it; its solver's name if not given.
    by : sequence of str, optional
        The columns of what is known of users and items by whose groups the two are compared; by default all that make
        groups.
    done : callable, optional
        Called with the share of the trainings for comparison that is done, and what was finished.

    Returns
    -------
    str

    Raises
    ------
    DataError
        If the model was trained on all of the ratings, or knows none of their users and items.
    SettingError
        If other ranks are asked of a model that has none, or whose solver is not known; if ``by`` names no column.

    Examples
    --------
    >>> import cofactor as cf
    >>> from cofactor.solvers import ImplicitALS
    >>> ratings = cf.load_dataset("synthetic:60x40x600")
    >>> train, test = ratings.split_random(test_fraction=0.2, seed=0)
    >>> page = report_page(ImplicitALS(rank=4, seed=0).fit(train.binary()), ratings)
    >>> page.startswith("<!doctype html>"), "://" in page
    (True, False)
    """
    content = collect(
        model,
        ratings,
        name=name,
        k=k,
        relevant_from=relevant_from,
        ranks=ranks,
        examples=examples,
        against=against,
        against_name=against_name,
        by=by,
        done=done or (lambda *_: None),
    )
    return written_page(content)


def written_page(content: ReportData) -> str:
    """Return the page of what was collected."""
    lists = people.example_users(content)
    possible = [
        comparison.compared(content),
        comparison.by_segment(content),
        lists if content.against else None,
        sections.at_a_glance(content),
        sections.training(content),
        sections.by_rank(content),
        sections.calibrated(content),
        sections.top_lists(content),
        sections.item_map(content),
        None if content.against else lists,
    ]
    there = [section for section in possible if section is not None]
    absent = model_card.missing({section.anchor for section in there})
    last = [model_card.every_figure(content), model_card.model_card(content), *([absent] if absent else [])]
    shown = [*there, *last]
    sheets = [path.read_text(encoding="utf-8") for path in (FOLDER.parent / "charts.css", FOLDER / "style.css")]
    style, script = Markup("\n".join(sheets)), Markup((FOLDER / "hover.js").read_text(encoding="utf-8"))
    template = (FOLDER / "page.html").read_text(encoding="utf-8")
    places = {
        "policy": _policy(style, script),
        "title": joined([f"{content.name} – cofactor report"]),
        "style": style,
        "head": _head(content, shown),
        "sections": joined(section.to_html() for section in shown),
        "script": script,
    }
    first, *rest = template.split("{{")
    parts = [part.split("}}", 1) for part in rest]
    return first + "".join(places[place] + text for place, text in parts)  # inserted text is never searched for places


def _policy(style: str, script: str) -> str:
    """Let the page use its own style and script and load nothing, whatever a title contains."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; base-uri 'none'"


def _head(content: ReportData, shown: Sequence[Section]) -> Markup:
    report, origin = content.report, content.model.origin
    rank = f", rank {content.model.rank}" if content.model.rank else ""
    lead = joined(
        [
            f"{origin.solver or 'A model'}{rank}, for {'predicted ratings' if content.predicts else 'top-n lists'}. "
            f"Measured on {count(report.n_test)} ratings of {count(report.n_users)} users that it was not trained on",
            _chosen(content),
            joined([", out of ", isolated(content.ratings.name)]) if content.ratings.name else "",
            ".",
        ]
    )
    links = [tag("li", tag("a", section.short, href=f"#{section.anchor}")) for section in shown]
    return joined(
        [
            tag("h1", isolated(content.name)),
            comparison.first_line(content),
            tag("p", lead, class_="lead"),
            sections.headline(content),
            tag("nav", tag("ul", *links), aria_label="Sections"),
        ]
    )


def _chosen(content: ReportData) -> str:
    """Say which held-out ratings count as chosen; nothing if the first figures are errors, which are of all."""
    if content.predicts:
        return ""
    if content.relevant_from is None:
        return ", each of which counts as chosen, whatever its value"
    return f", of which those of {content.relevant_from:g} or more count as chosen"
