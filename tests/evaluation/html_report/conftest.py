"""Models and pages that the tests of the page share, and a reader of pages that takes nothing for granted."""

import dataclasses
from html.parser import HTMLParser

import polars as pl
import pytest

from cofactor.data.metadata import Metadata
from cofactor.evaluation.html_report.build import report_page
from cofactor.solvers import ALS, BayesianMF, ImplicitALS

HOSTILE = (
    "<script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\"> & {{policy}} \x07\u202e"
)
VOID = {"meta", "br", "img", "link", "input", "hr", "col"}


class Read(HTMLParser):
    """A page as it was read: its elements with their attributes, its text, what is not closed as it was opened."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.open, self.faults, self.texts = [], [], [], []
        self.feed(page)
        self.close()
        self.faults += self.open

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        self.faults += [f"{tag} has {name} twice" for name in set(names) if names.count(name) > 1]
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}>")

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    @property
    def figures(self):
        """The figures that the page holds for programs, by metric; each stands in one value, however often."""
        found = {}
        for tag, attributes in self.elements:
            if tag == "data":
                found.setdefault(attributes["data-metric"], set()).add(float(attributes["value"]))
        return found

    def ids(self):
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


@pytest.fixture(scope="session")
def read():
    return Read


@pytest.fixture(scope="session")
def parts(titled):
    """A training part with a hostile title, and what was held out."""
    titles = pl.Series([HOSTILE, *titled.metadata.titles[1:]])
    hostile = dataclasses.replace(titled, metadata=Metadata(pl.DataFrame({"title": titles})), name="<b>stars</b>")
    return hostile.split_random(test_fraction=0.2, seed=0)


@pytest.fixture(scope="session")
def stars(parts):
    """A model that predicts ratings and knows how sure it is, and its page."""
    model = BayesianMF(rank=2, sweeps=12, burn_in=4, n_samples=4).fit(parts[0])
    return model, report_page(model, parts[1], name="Stars & co", k=[3, 10], ranks=[1])


@pytest.fixture(scope="session")
def lists(parts):
    """A model for lists, and its page."""
    model = ImplicitALS(rank=4, epochs=4).fit(parts[0])
    return model, report_page(model, parts[1])


@pytest.fixture(scope="session")
def predictor(parts):
    return ALS(rank=3, epochs=4).fit(parts[0])
