"""No file of any format ends the process, hangs, swells or leaves a traceback: what is not sound is one sentence."""

import os
import random

import fuzzing
import pytest

LONG = os.environ.get("COFACTOR_TEST_LONG") == "1"
NUMBER = 10_000 if LONG else 60
SECONDS = 1_800 if LONG else 2
"""For each format."""


@pytest.mark.skipif(os.name != "posix", reason="memory and time are watched through /proc")
@pytest.mark.parametrize("name", fuzzing.SOURCES)
def test_no_mutant_does_harm(name):
    if name == "studies":
        pytest.importorskip("optuna")
    if name in ("ratings-stores", "tokens", "models", "model-folders"):
        pytest.importorskip("fastapi")
    first = random.SystemRandom().randrange(2**31) if LONG else 0  # the long form meets others each time
    found = fuzzing.run(name, range(first, first + NUMBER), SECONDS)
    assert not found.harm, fuzzing.report(found)
    assert found.counts["refused"] + found.counts["works"] >= fuzzing.LEAST
