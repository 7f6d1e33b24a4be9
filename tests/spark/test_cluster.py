"""A real cluster of processes on loopback: it fits as one machine does, also when a worker or the master is killed."""

import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import cofactor as cf

pytestmark = pytest.mark.long

FIT = """
    import sys
    from cofactor.errors import CofactorError
    from cofactor.solvers import SparkALS
    master, table, output, epochs = sys.argv[1:]
    try:
        SparkALS(rank=3, epochs=int(epochs), partitions=2, master=master).fit_table(table, output)
    except CofactorError as error:
        sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.fixture(scope="module")
def table(ratings, tmp_path_factory):
    path = tmp_path_factory.mktemp("ratings") / "ratings.parquet"
    ratings.to_frame().write_parquet(path)
    return path


def fitting(master, table, output, epochs):
    """Start a fit in a process of its own: a process has one Spark session."""
    command = [sys.executable, "-c", textwrap.dedent(FIT), master, str(table), str(output), str(epochs)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_until_it_solves(process, output):
    """Wait until what MLlib learns from is written down: from then on it alternates."""
    while not list(output.parent.glob(f"{output.name}.working-*/residuals/_SUCCESS")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    time.sleep(2)
    assert process.poll() is None, "it was over before anything could be killed: give it more epochs"


def finished(process, seconds=500):
    try:
        said = process.communicate(timeout=seconds)[1]
    finally:
        process.kill()
    return process.returncode, said


@pytest.fixture(scope="module")
def by_one_machine(table, tmp_path_factory):
    """Return the model of 40 epochs learnt on this machine alone."""
    output = tmp_path_factory.mktemp("local") / "model"
    code, said = finished(fitting("local[2]", table, output, 40))
    assert code == 0, said
    return cf.load(output)


def assert_same(model, other):
    lists = [each.recommend(each.users.ids, n=5).drop("score") for each in (model, other)]
    assert lists[0].equals(lists[1])
    assert np.abs(model.user_vectors - other.user_vectors).max() < 1e-3


def test_a_cluster_learns_what_one_machine_learns(cluster, table, by_one_machine, tmp_path):
    code, said = finished(fitting(cluster.master, table, tmp_path / "model", 40))
    assert code == 0, said
    assert_same(cf.load(tmp_path / "model"), by_one_machine)


def test_a_worker_killed_in_the_middle_of_a_fit_changes_nothing(cluster, table, by_one_machine, tmp_path):
    process = fitting(cluster.master, table, tmp_path / "model", 40)
    wait_until_it_solves(process, tmp_path / "model")
    cluster.kill_worker()
    code, said = finished(process)
    cluster.start_worker()
    assert code == 0, said
    assert_same(cf.load(tmp_path / "model"), by_one_machine)


def test_a_master_that_is_restarted_in_the_middle_ends_in_a_clear_error(cluster, table, tmp_path):
    process = fitting(cluster.master, table, tmp_path / "model", 2000)
    wait_until_it_solves(process, tmp_path / "model")
    cluster.kill_master()
    cluster.start_master()
    code, said = finished(process)
    assert code == 1
    assert "ClusterError: " in said.strip().splitlines()[-1]
    assert "master" in said.strip().splitlines()[-1]
    assert not (tmp_path / "model").exists()
