"""What several tests need: small made-up data, the real data where it is at hand, Spark's Java, a browser.

And the rule that what takes minutes waits to be asked for.
"""

import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("SPARK_MASTER", "local[2,4]")  # a session lasts as long as the process; a failed task is repeated
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")  # short runs are ready sooner

import cofactor
from cofactor.data.interactions import Interactions
from cofactor.data.vocabulary import Vocabulary

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items):
    for item in items:
        if os.environ.get("COFACTOR_TEST_LONG") == "1":
            item.add_marker(pytest.mark.timeout(7200))
        elif item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: set COFACTOR_TEST_LONG=1"))


def made_up(n_users=60, n_items=40, n=900, rank=3, seed=0, name="made-up"):
    """Draw ratings from 1 to 5 with a planted low-rank structure, in no particular order."""
    random = np.random.default_rng(seed)
    pairs = random.permutation(n_users * n_items)[:n]
    user_rows, item_rows = pairs // n_items, pairs % n_items
    truth = random.normal(size=(n_users, rank)) @ random.normal(size=(rank, n_items))
    values = np.clip(np.round(3.5 + truth[user_rows, item_rows]), 1, 5)
    users = Vocabulary([f"u{k}" for k in range(n_users)], kind="user")
    items = Vocabulary([f"i{k}" for k in range(n_items)], kind="item")
    timestamps = random.permutation(n) + 1_000_000_000
    return Interactions.from_rows(users, items, user_rows, item_rows, values, timestamps, name=name)


@pytest.fixture(scope="session")
def ratings():
    return made_up()


@pytest.fixture(scope="session")
def titled(ratings):
    titles = pl.Series([f"Film {k} ({1950 + k})" for k in range(ratings.n_items)])
    return ratings.with_items(ratings.item_table.with_columns(title=titles))


@pytest.fixture(scope="session")
def real_ratings():
    """Return what finds a folder of real ratings by its name, or skips."""

    def find(name):
        if not (SHARED_DATA / name).is_dir():
            pytest.skip(f"real ratings are not at hand: {name} is not beside the project")
        return SHARED_DATA / name

    return find


@pytest.fixture(scope="session")
def ml100k():
    """The real ml-100k, from the cache or a registry."""
    try:
        return cofactor.load_dataset("ml-100k")
    except cofactor.DownloadError as error:
        pytest.skip(f"ml-100k cannot be had here: {error}")


@pytest.fixture(scope="session")
def spark_can_run():
    """Skip where pyspark or a Java that it can run on is missing, and say which."""
    pytest.importorskip("pyspark", reason="pyspark is not installed")
    from cofactor.spark.session import check_java

    try:
        check_java(os.environ)
    except cofactor.CofactorError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def chromium():
    """A browser, the machine's own; while it runs, this thread has an event loop, which other tests must not meet."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def browse(chromium):
    """Return what opens a page as somebody who was never there; nothing may go wrong unseen meanwhile.

    ``watch`` is told of each page and of the list that troubles belong in; ``options`` are those of a context.
    """
    contexts, troubles = [], []

    def open_page(address, watch, *, context=None, **options):
        if context is None:
            usual = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"}
            context = chromium.new_context(**{**usual, **options})
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        watch(page, troubles)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not troubles


@pytest.fixture(scope="session")
def findings():
    """Return what finds the serious faults of a page that axe-core knows of: rules and elements."""
    package = pytest.importorskip("axe_playwright_python.base", reason="axe-playwright-python is not installed")
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}

    def find(page):
        page.evaluate(package.AXE_SCRIPT)
        found = page.evaluate("options => axe.run(document, options)", options)["violations"]
        serious = [rule for rule in found if rule["impact"] in ("serious", "critical")]
        return [(rule["id"], [node["html"][:120] for node in rule["nodes"]]) for rule in serious]

    return find
