"""A service with a small model, in a process of its own, and a real browser to look at its page with."""

import dataclasses
import http.client

import numpy as np
import polars as pl
import pytest
from websupport import Service

from cofactor.data.interactions import Interactions
from cofactor.data.metadata import Metadata
from cofactor.data.vocabulary import Vocabulary

N_USERS = 80
N_TITLED = 20
"""So few that all are in the list, whatever is rated."""

HOSTILE = {
    5: "<script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\"> (1999)",
    6: "\"Quotes' & &amp; <b>bold</b> (1998)",
    7: "فيلم طويل (2001)",
    8: "An endless title " + "without " * 30 + "x" * 120,
    9: "Hidden\u202edirection (2003)",
}
"""Titles, by item row, that must be shown as the text that they are."""


HOSTILE_PLACE = "<b>'abroad'</b> or true"
"""A value that must be shown as the text that it is, and be found as that."""


def two_tastes(ids, titles=None, genres=None):
    """Make ratings of people who love every other item and do without the rest; the first items are the best known."""
    random = np.random.default_rng(3)
    chances = np.linspace(1.0, 0.15, len(ids))
    users, items = np.nonzero(random.random((N_USERS, len(ids))) < chances)
    alike = users % 2 == items % 2
    values = np.clip(np.where(alike, 4.6, 1.8) + random.normal(0, 0.6, len(users)), 1, 5).round()
    table = Interactions.from_rows(
        Vocabulary([f"u{k}" for k in range(N_USERS)], kind="user"), Vocabulary(ids, kind="item"), users, items, values,
        None, name="two tastes",
    )  # fmt: skip
    known = {name: text for name, text in {"title": titles, "genres": genres}.items() if text is not None}
    texts = Metadata(pl.DataFrame(known, schema=dict.fromkeys(known, pl.String)))
    return dataclasses.replace(table, metadata=texts)


@pytest.fixture(scope="session")
def page_models(tmp_path_factory):
    """Model files by name: of ratings, of mere order over integer ids without titles, one that knows how sure it is."""
    from cofactor.solvers import ALS, BayesianMF, ImplicitALS

    titles = [HOSTILE.get(k, f"{'Tea' if k % 2 else 'Rye'} Story {k}, The ({1950 + k})") for k in range(N_TITLED)]
    genres = ["Drama|War" if k % 3 else "Comedy" for k in range(N_TITLED)]
    titled = two_tastes([f"i{k}" for k in range(N_TITLED)], titles, genres)
    made_in = pl.Series([HOSTILE_PLACE if k % 5 == 0 else "it's home" for k in range(N_TITLED)])
    titled = titled.with_items(titled.item_table.with_columns(made_in=made_in))
    bare = two_tastes(range(100, 148))
    made = {
        "rating": ALS(rank=3, epochs=8).fit(titled),
        "ranking": ImplicitALS(rank=4, epochs=8).fit(bare.at_least(4).binary()),
        "unsure": BayesianMF(rank=2, sweeps=12, burn_in=4, n_samples=4).fit(titled),
    }
    folder = tmp_path_factory.mktemp("page-models")
    return {name: model.save(folder / f"{name}.safetensors") for name, model in made.items()}


class WarmService(Service):
    """A service that was asked once what may have to be compiled first, so that no test waits for that."""

    def start(self):
        super().start()
        item = self.ask("GET", "/v1/popular?n=1")[1]["items"][0]["item"]
        patient = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        body = {"ratings": [{"item": item, "value": 5}], "before": [], "reasons": 2}
        assert self.ask("POST", "/v1/recommendations", body, patient)[0] == 200
        patient.close()


@pytest.fixture(scope="session")
def run_service(page_models, tmp_path_factory):
    """Return what starts a service for a model; each is started once, and ended after all tests."""
    running = {}

    def run(name, *options):
        if (name, options) not in running:
            running[name, options] = WarmService(page_models[name], tmp_path_factory.mktemp("page-service"), *options)
        return running[name, options]

    yield run
    for service in running.values():
        service.close()


def watch(page, troubles):
    """Take what breaks the page's own policy for a trouble."""
    page.on("console", lambda message: troubles.append(message.text) if "Policy" in message.text else None)


@pytest.fixture
def visit(browse):
    """Return what opens a service's page as a visitor who was never here."""

    def open_page(service, path="/", **options):
        page = browse(service.address + path, watch, **options)
        if options.get("java_script_enabled", True):
            page.wait_for_selector("#list .row:not(.is-blank)")
        return page

    return open_page
