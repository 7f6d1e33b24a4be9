"""Start or find the Spark session, and raise clear errors at once if Java or the master is missing."""

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cofactor
from cofactor.errors import ClusterError, SettingError, missing_extra

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["LEAST_JAVA", "check_java", "check_master", "executors", "first_java_error", "java_version", "session"]

LEAST_JAVA = 17
_CONNECT_SECONDS = 5.0
_EXECUTOR_SECONDS = 60.0

_SETTINGS = {
    "spark.app.name": "cofactor",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
}


def session(master: str | None = None) -> "SparkSession":
    """Return the running Spark session, or start one.

    Parameters
    ----------
    master : str, optional
        Where Spark runs: ``local[4]``, ``spark://host:7077``, ``yarn``, ``k8s://…``. Without it the session that is
        running, else what ``spark-submit`` or ``SPARK_MASTER`` say, else all processors of this machine.

    Raises
    ------
    MissingExtraError
        If pyspark is not installed.
    ClusterError
        If Java is missing or too old, the master cannot be reached, or it gives no executor.
    SettingError
        If another session is running already.

    Examples
    --------
    >>> session("local[2]").range(3).count()  # doctest: +SKIP
    3
    """
    if importlib.util.find_spec("pyspark") is None:
        raise missing_extra("pyspark", "spark")
    from pyspark import SparkContext

    if SparkContext._active_spark_context is not None:  # a session is active in its own thread alone
        return _running(master)
    wanted = master or os.environ.get("SPARK_MASTER") or _submitted() or "local[*]"
    check_java(os.environ)
    check_master(wanted)
    return _start(wanted)


def check_java(environment: Mapping[str, str]) -> None:
    """Check that there is a Java that Spark can run on.

    Raises
    ------
    ClusterError
        If there is none, or it is too old; the text says where it was looked for and what to install.
    """
    home = environment.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java", path=environment.get("PATH", ""))
    remedy = f"install Java {LEAST_JAVA} or newer, and set JAVA_HOME to it"
    if found is None or not Path(found).exists():
        where = f"at JAVA_HOME={home}" if home else "on the PATH, and JAVA_HOME is not set"
        raise ClusterError(f"Spark needs Java, and there is none {where}: {remedy}")
    try:
        said = subprocess.run([found, "-version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise ClusterError(f"{found} cannot be run ({error}): {remedy}") from error
    version = java_version(said.stderr + said.stdout)
    if version is None:
        raise ClusterError(f"{found} does not say which Java it is: {remedy}")
    if version < LEAST_JAVA:
        raise ClusterError(f"{found} is Java {version}, and Spark needs {LEAST_JAVA}: {remedy}")


def java_version(text: str) -> int | None:
    """Return the main version in what ``java -version`` says; before Java 9 it stood in the second place.

    >>> java_version('openjdk version "17.0.15" 2025-04-15'), java_version('java version "1.8.0_401"')
    (17, 8)
    """
    found = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(found[1]) if found else None


def check_master(master: str) -> None:
    """Refuse an invalid master URL, or a standalone master that does not answer; one of several suffices.

    Raises
    ------
    SettingError
        If it is not a valid master URL.
    ClusterError
        Naming the master and the reason.
    """
    if not re.fullmatch(r"|local(-cluster)?(\[.+\])?|yarn|\w+://.+", master):
        raise SettingError(f"{master!r} is not a Spark master: write local[4], spark://host:7077, yarn or k8s://…")
    if not master.startswith("spark://"):
        return
    reasons = []
    for address in master.removeprefix("spark://").split(","):
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise SettingError(f"{master!r} is not a Spark master: it must look like spark://host:7077")
        try:
            socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
            return
        except OSError as error:
            reasons.append(f"{address}: {error}")
    raise ClusterError(
        f"the Spark master {master} cannot be reached ({'; '.join(reasons)}): "
        "check the address and that the master is running, or leave --master out to use this machine"
    )


def _submitted() -> str | None:
    """Return an empty name under spark-submit, which knows the master itself."""
    return "" if "PYSPARK_GATEWAY_PORT" in os.environ else None


def _start(master: str) -> "SparkSession":
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder: Any = SparkSession.builder
    builder = builder.master(master) if master else builder
    for name, value in {**_SETTINGS, **_paths(master)}.items():
        builder = builder.config(name, value)
    try:
        with _interrupts_held(), warnings.catch_warnings():
            # its data frames are not used here, so it does not matter that pandas is newer than Spark likes
            warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
            made: SparkSession = builder.getOrCreate()
    except Exception as error:  # py4j's errors and pyspark's have no common parent
        where = master or "the master of spark-submit"
        raise ClusterError(f"Spark could not be started on {where}: {first_java_error(str(error))}") from error
    if made.conf.get("spark.log.level", None) is None:  # here the errors of tasks come back in ours
        made.sparkContext.setLogLevel("FATAL" if master.startswith("local") else "ERROR")
    if master.startswith("spark://"):
        _await_executors(made, master)
    return made


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Delay the first Ctrl-C while Java starts, which would otherwise keep running on its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[bool] = []

    def hold(*_: Any) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(True)

    before = signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is hold:  # Spark has one of its own once it runs
            signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


def _paths(master: str) -> dict[str, str]:
    """Let executors on this machine find cofactor; those elsewhere need it installed."""
    here = str(Path(cofactor.__file__).parents[1])
    path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"spark.executorEnv.PYTHONPATH": path} | _for_this_machine(master)


def _for_this_machine(master: str) -> dict[str, str]:
    """Bind to loopback and use few partitions on one machine; the host name of a laptop often does not resolve."""
    if not master.startswith(("local", "spark://127.0.0.1", "spark://localhost")):
        return {}
    parts = str(4 * (os.cpu_count() or 1))
    loopback = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    return {**loopback, "spark.sql.shuffle.partitions": parts}


def _await_executors(made: "SparkSession", master: str) -> None:
    """Wait until the master has given an executor: without one, the first job would wait without end."""
    give_up = time.monotonic() + _EXECUTOR_SECONDS
    while executors(made) < 1:
        if time.monotonic() > give_up:
            made.stop()
            raise ClusterError(
                f"the Spark master {master} provided no executor within {_EXECUTOR_SECONDS:.0f} seconds: check that it "
                "has workers, that they have cores and memory to spare, and that it is a Spark master of this version"
            )
        time.sleep(0.2)


def executors(running: "SparkSession") -> int:
    """Return how many executors a session has, the driver not counted."""
    context: Any = running.sparkContext._jsc.sc()
    return int(context.getExecutorMemoryStatus().size()) - 1


def _running(master: str | None) -> "SparkSession":
    from pyspark.sql import SparkSession

    try:
        running: SparkSession = SparkSession.builder.getOrCreate()
        current = running.sparkContext.master
        executors(running)
    except Exception as error:  # its Java has ended, which py4j reports in many ways
        raise ClusterError(
            f"the Spark session of this process has ended ({first_java_error(str(error))}): start a new process"
        ) from error
    if master is not None and master != current:
        raise SettingError(
            f"a Spark session on {current} is running in this process: stop() it before one on {master} is started"
        )
    return running


def first_java_error(text: str) -> str:
    """Return the first line of a Java error that has content."""
    lines = (line.lstrip(": ").rstrip() for line in text.splitlines())
    return next((line for line in lines if line and not line.startswith("An error occurred while calling")), "nothing")
