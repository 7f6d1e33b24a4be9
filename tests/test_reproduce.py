"""The command that runs published results anew, on a made-up set in the layout of NCF's files."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def write_ncf(folder, n_users=40, n_items=130, seed=0):
    """Write a set in which every user's last item is held out and 99 others stand beside it."""
    random = np.random.default_rng(seed)
    texts = {"train.rating": "", "test.rating": "", "test.negative": ""}
    for user in range(n_users):
        met, others = np.split(random.permutation(n_items), [12])
        for time, item in enumerate(met[:-1]):
            texts["train.rating"] += f"{user}\t{item}\t5\t{1000 + time}\n"
        texts["test.rating"] += f"{user}\t{met[-1]}\t4\t2000\n"
        texts["test.negative"] += f"({user},{met[-1]})\t" + "\t".join(map(str, others[:99])) + "\n"
    for name, text in texts.items():
        (folder / f"made-up.{name}").write_text(text)


@pytest.fixture
def benchmarks(tmp_path):
    """Copy the scripts, so that results go to a folder of the test's own."""
    return Path(
        shutil.copytree(BENCHMARKS, tmp_path / "benchmarks", ignore=shutil.ignore_patterns("results", ".venvs"))
    )


def test_a_split_in_the_layout_of_ncf_is_measured_and_one_solver_chosen_on_validation(benchmarks, tmp_path):
    (tmp_path / "data").mkdir()
    write_ncf(tmp_path / "data")
    command = [sys.executable, benchmarks / "reproduce.py", "ncf", tmp_path / "data" / "made-up", "--small"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    tables = json.loads((benchmarks / "results" / "small" / "reproduce-ncf.json").read_text())["tables"]
    (validation, measured) = tables.values()
    assert {row["solver"].split("(")[0] for row in validation} == {"Popularity", "ImplicitALS", "LogisticMF", "Sum"}
    published, *ours = measured
    assert published["hit@10"] == 0.7294
    assert [row["system"].split("(")[0] for row in ours] == [
        f"ours: {solver}" for solver in ("Popularity", "ImplicitALS", "LogisticMF", "Sum")
    ]
    [chosen] = [row for row in ours if "chosen on validation" in row["system"]]
    best = max(validation, key=lambda row: row["ndcg@10"])
    assert best["solver"] in chosen["system"]
    assert all(0 <= row["hit@10"] <= 1 and row["all seconds"] > 0 for row in ours)
    assert (benchmarks / "results" / "small" / "reproduce-ncf.md").exists()
