"""report_page: a model and data in, one self-contained HTML page out."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cofactor.data.interactions import Interactions
from cofactor.errors import SettingError
from cofactor.evaluation.page import about_data, about_lists, about_model, card, people
from cofactor.evaluation.page.markup import Markup, count, isolated, joined, tag
from cofactor.evaluation.page.material import Material, gathered
from cofactor.evaluation.page.section import Section
from cofactor.evaluation.ranking import cut_offs_of
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
    done: Callable[[float, str], None] | None = None,
) -> str:
    """Return a page about a model: its data, training, accuracy, lists, map, some people's lists, and its card.

    The page is one HTML text that needs nothing else, no network either. Every figure on it is measured on those of
    the ratings that the model was not trained on, and is `evaluate`'s.

    Parameters
    ----------
    model : Factors
    ratings : Interactions
        Held-out ratings; those that the model was trained on may stand among them, and are left out of what is
        measured. Ids are matched.
    name : str
        What the page calls the model; its solver's name if not given.
    k : int or several, optional
        The lengths of lists to measure, besides some to draw curves by. Single figures are of the largest, or of 10.
    relevant_from : float, optional
        From which value on a held-out rating is relevant in lists; see `cofactor.evaluation.evaluate`.
    ranks : sequence of int
        Other ranks to compare: the model's solver is trained anew for each, with the same settings, on what the model
        was trained on.
    examples : int
        How many people to show with what they had and their list; 0 for a page that may be shown to anyone.
    done : callable, optional
        Told how much of the training of what to compare with is done, from 0 to 1, and a word on it.

    Returns
    -------
    str

    Raises
    ------
    DataError
        If the model was trained on all of the ratings, or knows none of their people and items.
    SettingError
        If other ranks are asked of a model that has none, or whose solver is not known.

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
    if isinstance(examples, bool) or not isinstance(examples, int | np.integer) or examples < 0:
        raise SettingError(f"examples is {examples!r}: it must be a whole number of 0 or more")
    material = gathered(
        model,
        ratings,
        name=name or model.origin.solver or "A model",
        k=None if k is None else cut_offs_of(k).tolist(),
        relevant_from=relevant_from,
        ranks=ranks,
        examples=examples,
        done=done or (lambda *_: None),
    )
    return written_page(material)


def written_page(material: Material) -> str:
    """Return the page of what was gathered."""
    possible = [
        about_model.training(material),
        about_model.by_rank(material),
        about_model.calibrated(material),
        about_lists.top_lists(material),
        about_lists.item_map(material),
        people.example_people(material),
    ]
    there = [section for section in possible if section is not None]
    absent = card.missing({section.anchor for section in there})
    last = [card.every_figure(material), card.model_card(material), *([absent] if absent else [])]
    sections = [about_data.at_a_glance(material), *there, *last]
    style, script = (Markup((FOLDER / name).read_text(encoding="utf-8")) for name in ("style.css", "hover.js"))
    template = (FOLDER / "page.html").read_text(encoding="utf-8")
    places = {
        "policy": _policy(style, script),
        "title": joined([f"{material.name} – cofactor report"]),
        "style": style,
        "head": _head(material, sections),
        "sections": joined(section.to_html() for section in sections),
        "script": script,
    }
    first, *rest = template.split("{{")
    parts = [part.split("}}", 1) for part in rest]
    return first + "".join(places[place] + text for place, text in parts)  # what is put in is never searched again


def _policy(style: str, script: str) -> str:
    """Let the page run its own style and script and load nothing, whatever a title may hold."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; base-uri 'none'"


def _head(material: Material, sections: Sequence[Section]) -> Markup:
    report, origin = material.report, material.model.origin
    rank = f", rank {material.model.rank}" if material.model.rank else ""
    lead = joined(
        [
            f"{origin.solver or 'A model'}{rank}, for {'predicted ratings' if material.predicts else 'top-n lists'}. "
            f"Measured on {count(report.n_test)} ratings of {count(report.n_users)} users that it was not trained on",
            _chosen(material),
            joined([", out of ", isolated(material.ratings.name)]) if material.ratings.name else "",
            ".",
        ]
    )
    links = [tag("li", tag("a", section.short, href=f"#{section.anchor}")) for section in sections]
    return joined(
        [
            tag("h1", isolated(material.name)),
            tag("p", lead, class_="lead"),
            about_model.headline(material),
            tag("nav", tag("ul", *links), aria_label="Sections"),
        ]
    )


def _chosen(material: Material) -> str:
    """Say which held-out ratings count as chosen; nothing where the first figures are errors, which are of all."""
    if material.predicts:
        return ""
    if material.relevant_from is None:
        return ", each of which counts as chosen, whatever its value"
    return f", of which those of {material.relevant_from:g} or more count as chosen"
