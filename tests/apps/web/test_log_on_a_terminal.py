"""The service's log on a terminal: one plain line with the page's address; JSON everywhere else."""

import json
import logging
import sys

import pytest

from cofactor.apps.web import logs


@pytest.fixture
def log(monkeypatch, capsys):
    """Return what logs an event where both streams are terminals or not, and returns the lines that it writes."""
    logger, levels = logging.getLogger("cofactor"), logging.getLogger("cofactor.web").level
    before, spreads = list(logger.handlers), logger.propagate

    def write(level, text, *, stdout, stderr, **more):
        capsys.readouterr()
        monkeypatch.setattr(sys.stdout, "isatty", lambda: stdout)
        monkeypatch.setattr(sys.stderr, "isatty", lambda: stderr)
        logs.set_up()
        logging.getLogger("cofactor.web").log(level, text, extra=more)
        return capsys.readouterr().err.splitlines()

    yield write
    logger.handlers, logger.propagate = before, spreads
    logging.getLogger("cofactor.web").setLevel(levels)


def test_on_a_terminal_one_plain_line_says_where_the_page_is(log):
    more = {"event": "serving", "address": "http://127.0.0.1:8000", "ratings": "sqlite:///x"}
    lines = log(logging.INFO, "serving x", stdout=True, stderr=True, **more)
    assert lines == ["Open http://127.0.0.1:8000 in a browser to rate and get recommendations; Ctrl-C ends it."]


@pytest.mark.parametrize(("stdout", "stderr"), [(False, False), (False, True), (True, False)])
def test_everywhere_else_it_is_json(log, stdout, stderr):
    more = {"event": "serving", "address": "http://127.0.0.1:8000"}
    (line,) = log(logging.INFO, "serving x", stdout=stdout, stderr=stderr, **more)
    assert json.loads(line)["address"] == "http://127.0.0.1:8000"


def test_a_person_is_told_of_new_models_and_troubles_but_not_of_each_request(log):
    both = {"stdout": True, "stderr": True}
    assert log(logging.INFO, "written", event="request", **both) == []
    (line,) = log(logging.INFO, "model reloaded", event="reloaded", **both)
    assert line.endswith(" model reloaded")
    (line,) = log(logging.ERROR, "no disk", event="request", **both)
    assert line.endswith(" no disk")
