"""Turn failures of a cluster (lost executors, too little memory, a lost master) into clear errors."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cofactor.errors import ClusterError, CofactorError, DataError
from cofactor.spark.session import executors, first_java_error

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["clear_errors", "explained"]

_PATIENCE_SECONDS = 30.0
_LOOK_EVERY_SECONDS = 1.0

_MEMORY = (
    "OutOfMemoryError",
    "Unable to acquire",
    "exceeding memory limits",
    "exceeding physical memory",
    "exit code 137",
    "exit code 52",
)
_NO_FILE_SYSTEM = ("FileSystem not found", "No FileSystem for scheme")
_FILE_SYSTEM_AWAY = ("java.net.ConnectException: Call From", "java.net.UnknownHostException")
_GONE = (
    "SparkContext was shut down",
    "SparkContext has been shutdown",
    "stopped SparkContext",
    "Master removed our application",
    "All masters are unresponsive",
    "Connection refused",
    "Answer from Java side is empty",
)
_LOST = ("ExecutorLostFailure", "Executor heartbeat timed out", "FetchFailed")
_BROKEN_FILES = (
    "Malformed CSV",
    "is not a Parquet file",
    "CANNOT_READ_FILE",
    "FAILED_READ_FILE",
    "FileNotFoundException",
)


def explained(text: str) -> CofactorError | None:
    """Return a clear error with a remedy for a failure of Spark, or None if the failure is not a known one.

    >>> explained("Job aborted: ExecutorLostFailure (executor 1 exited: java.lang.OutOfMemoryError)")
    ClusterError('an executor ran out of memory: give executors more ...')
    """
    line = first_java_error(text)
    if any(sign in text for sign in _MEMORY):
        return ClusterError(
            "an executor ran out of memory: give executors more (spark.executor.memory, and "
            f"spark.executor.memoryOverhead for Python), or set more partitions. Spark says: {line}"
        )
    if any(sign in text for sign in _NO_FILE_SYSTEM):
        return ClusterError(
            "Spark does not know the file system of this URL: name the package that does, such as spark.jars.packages "
            "org.apache.hadoop:hadoop-aws:VERSION for s3a://, VERSION being that of Spark's own Hadoop, in "
            f"spark-defaults.conf or to spark-submit. Spark says: {line}"
        )
    if any(sign in text for sign in _FILE_SYSTEM_AWAY):
        return ClusterError(
            f"the file system of this URL cannot be reached: check its host and its port. Spark says: {line}"
        )
    if any(sign in text for sign in _GONE):
        return ClusterError(
            "Spark stopped before the work was done: check that its master is running, and start again. "
            f"Spark says: {line}"
        )
    if any(sign in text for sign in _LOST):
        return ClusterError(
            "executors failed more often than Spark retries: check their logs, and their memory first. "
            f"Spark says: {line}"
        )
    if any(sign in text for sign in _BROKEN_FILES):
        return DataError(f"a file of the table cannot be read: {line}")
    return None


@contextmanager
def clear_errors(spark: "SparkSession", patience: float = _PATIENCE_SECONDS) -> Iterator[None]:
    """Turn failures of Spark in the block into clear errors, and stop it if no executor is left.

    Spark itself waits for executors without end, for instance after the master was restarted and lost the application.
    """
    watch = _Watch(spark, patience)
    watch.start()
    try:
        yield
    except CofactorError:
        raise
    except Exception as error:
        if watch.gave_up:
            raise ClusterError(
                f"there has been no executor for {patience:.0f} seconds: the workers are down, or the master was "
                "restarted and lost this application. Start workers, and run it again"
            ) from error
        clear = explained(str(error))
        if clear is None:
            raise
        raise clear from error
    finally:
        watch.end()


class _Watch(threading.Thread):
    """Watches a session's executors and cancels its jobs if there has been none for too long."""

    def __init__(self, spark: "SparkSession", patience: float) -> None:
        super().__init__(name="cofactor-executors", daemon=True)
        self.gave_up = False
        self._spark, self._patience = spark, patience
        self._over = threading.Event()

    def run(self) -> None:
        without = 0.0
        if self._spark.sparkContext.master.startswith("local"):
            return
        while not self._over.wait(_LOOK_EVERY_SECONDS):
            try:
                without = 0.0 if executors(self._spark) else without + _LOOK_EVERY_SECONDS
                if without >= self._patience:
                    self.gave_up = True
                    self._spark.sparkContext.cancelAllJobs()
                    without = 0.0  # what comes next is cancelled too
            except Exception:  # the session has ended, which the block itself will raise
                return

    def end(self) -> None:
        self._over.set()
        if self.is_alive():
            self.join(timeout=10)
