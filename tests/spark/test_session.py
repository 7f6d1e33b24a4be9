"""What stands in Spark's way is said at once and clearly: no Java, an old one, a master that is not there."""

import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from processes import free_port, python

from cofactor.errors import ClusterError, DataError, SettingError
from cofactor.spark.distributed_lists import recommend_all
from cofactor.spark.failures import explained
from cofactor.spark.session import check_java, check_master, java_version
from cofactor.spark.solver import SparkALS


def java_saying(folder, text):
    """Write a program called java that says it is of some version."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "java"
    program.write_text(f"#!/bin/sh\necho '{text}' >&2\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_401"', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ("command not found", None),
    ],
)
def test_the_version_of_java_is_read_from_what_it_says(text, version):
    assert java_version(text) == version


def test_no_java_says_what_to_install(tmp_path):
    with pytest.raises(ClusterError, match=r"none on the PATH, and JAVA_HOME is not set: install Java 17"):
        check_java({"PATH": str(tmp_path)})
    with pytest.raises(ClusterError, match=r"none at JAVA_HOME=.*: install Java 17"):
        check_java({"PATH": "/usr/bin", "JAVA_HOME": str(tmp_path)})


def test_an_old_java_is_named_with_its_version(tmp_path):
    program = java_saying(tmp_path, 'openjdk version "1.8.0_402"')
    with pytest.raises(ClusterError, match=rf"{program} is Java 8, and Spark needs 17: install Java 17"):
        check_java({"JAVA_HOME": str(tmp_path)})
    with pytest.raises(ClusterError, match="is Java 8"):
        check_java({"PATH": str(tmp_path / "bin")})


@pytest.mark.parametrize("master", ["lcal[2]", "local(2)", "host:7077"])
def test_what_is_no_master_is_refused_before_java_starts(master):
    with pytest.raises(SettingError, match=r"is not a Spark master: write local\[4\], spark://host:7077, yarn or k8s"):
        check_master(master)


@pytest.mark.parametrize(
    "master", ["", "local", "local[*]", "local[2,4]", "local-cluster[1,1,1024]", "yarn", "k8s://h:1"]
)
def test_every_form_of_a_master_but_a_standalone_one_is_left_to_spark(master):
    check_master(master)


def test_something_else_called_java_is_no_java(tmp_path):
    java_saying(tmp_path, "hello")
    with pytest.raises(ClusterError, match="does not say which Java it is"):
        check_java({"JAVA_HOME": str(tmp_path)})


def test_a_master_that_is_not_there_is_named_within_seconds():
    port = free_port()
    start = time.monotonic()
    with pytest.raises(ClusterError, match=rf"master spark://127\.0\.0\.1:{port} cannot be reached"):
        check_master(f"spark://127.0.0.1:{port}")
    assert time.monotonic() - start < 20
    check_master("local[2]")
    check_master("yarn")
    with pytest.raises(SettingError, match="must look like spark://host:7077"):
        check_master("spark://nowhere")


def test_one_master_of_several_is_enough():
    with socket.socket() as listening, socket.socket() as bound:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        bound.bind(("127.0.0.1", 0))
        check_master(f"spark://127.0.0.1:{bound.getsockname()[1]},127.0.0.1:{listening.getsockname()[1]}")


def test_the_command_line_says_it_in_one_line(tmp_path):
    pytest.importorskip("pyspark", reason="pyspark is not installed")
    program = java_saying(tmp_path, 'openjdk version "1.8.0_402"')
    code = "from cofactor.apps.cli import main; main()"
    command = [sys.executable, "-c", code, "fit", "x.csv", "--solver", "spark-als", "-o", str(tmp_path / "m")]
    environment = {**os.environ, "JAVA_HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode != 0
    assert f"{program} is Java 8" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_without_pyspark_the_remedy_is_the_extra():
    code = """
        import importlib.util
        real = importlib.util.find_spec
        importlib.util.find_spec = lambda name, *rest: None if name == "pyspark" else real(name, *rest)
        from cofactor.errors import MissingExtraError
        from cofactor.spark.session import session
        try:
            session()
        except MissingExtraError as error:
            print(error)
    """
    assert python(code).strip() == "pyspark is not installed: pip install 'cofactor[spark]'"


def test_ctrl_c_waits_until_java_has_started_but_not_twice():
    from cofactor.spark.session import _interrupts_held

    def started(presses):
        with _interrupts_held():
            for _ in range(presses):
                signal.raise_signal(signal.SIGINT)
            reached.append(presses)

    before, reached = signal.getsignal(signal.SIGINT), []
    started(0)
    for presses in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            started(presses)
    assert reached == [0, 1]
    assert signal.getsignal(signal.SIGINT) is before


def test_the_command_line_shows_nothing_of_py4j_when_it_is_stopped(caplog):
    from cofactor.apps.on_spark import _is_no_interrupt, _without_tracebacks

    root = logging.getLogger()
    _without_tracebacks()
    try:
        logging.error("KeyboardInterrupt while sending command.")
        logging.error("something else")
    finally:
        root.removeFilter(_is_no_interrupt)
    assert caplog.messages == ["something else"]


def test_another_master_than_the_running_one_is_an_error(spark):
    from cofactor.spark.session import session

    assert session() is session(spark.sparkContext.master)
    with pytest.raises(SettingError, match=r"a Spark session on local\[.*\] is running"):
        session("local[1]")


@pytest.mark.long
@pytest.mark.usefixtures("spark_can_run")
def test_a_session_whose_java_died_is_said_to_have_ended():
    code = """
        from cofactor.errors import ClusterError
        from cofactor.spark.session import session
        import signal
        java = session("local[1]").sparkContext._gateway.proc
        java.stdin.close()
        java.send_signal(signal.SIGKILL)
        java.wait()
        try:
            session()
        except ClusterError as error:
            print(error)
    """
    assert "the Spark session of this process has ended" in python(code)


@pytest.mark.parametrize(
    ("text", "kind", "remedy"),
    [
        ("ExecutorLostFailure (executor 1 exited: java.lang.OutOfMemoryError)", ClusterError, "out of memory"),
        ("Container killed by YARN for exceeding memory limits. 1.5 GB", ClusterError, r"spark\.executor\.memory"),
        ("[UNABLE_TO_ACQUIRE_MEMORY] Unable to acquire 65536 bytes of memory, got 0.", ClusterError, "out of memory"),
        ("Job 3 cancelled because SparkContext was shut down", ClusterError, "check that its master is running"),
        ("ExecutorLostFailure (executor 1 exited unrelated to the tasks)", ClusterError, "executors failed"),
        ("ClassNotFoundException: Class org.example.ShopFileSystem not found", ClusterError, r"spark\.jars\.packages"),
        ("java.net.ConnectException: Call From a to b:9 failed: Connection refused", ClusterError, "host and its port"),
        ("[FAILED_READ_FILE.NO_HINT] Encountered error while reading file", DataError, "cannot be read"),
    ],
)
def test_a_failure_of_spark_is_explained(text, kind, remedy):
    found = explained(text)
    assert type(found) is kind
    assert re.search(remedy, str(found))


def test_a_file_system_that_spark_has_no_package_for_is_named(spark):
    with pytest.raises(ClusterError, match=r"spark\.jars\.packages.* Spark says: .*S3AFileSystem not found"):
        SparkALS().fit_table("s3a://shop/ratings", "s3a://shop/model")
    with pytest.raises(ClusterError, match=r"spark\.jars\.packages"):
        recommend_all("s3a://shop/model", "s3a://shop/lists")


def test_a_failure_that_means_nothing_known_is_left_as_it_is():
    assert explained("something new") is None
