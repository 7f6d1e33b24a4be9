"""What breaks on a cluster, each in one clear error: lost executors, their memory, a master that is gone."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cofactor.errors import ClusterError, CofactorError, DataError
from cofactor.spark.session import executors, said_by_java

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
    """Return the error that says what a failure of Spark means and what helps; None where it means nothing known.

    >>> explained("Job aborted: ExecutorLostFailure (executor 1 exited: java.lang.OutOfMemoryError)")
    ClusterError('an executor ran out of memory: give executors more ...')
    """
    line = said_by_java(text)
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
            "Spark ended before the work was done: look whether its master still runs, and start again. "
            f"Spark says: {line}"
        )
    if any(sign in text for sign in _LOST):
        return ClusterError(
            "executors were lost more often than Spark repeats their work: look at their logs for what ended them, "
            f"memory above all. Spark says: {line}"
        )
    if any(sign in text for sign in _BROKEN_FILES):
        return DataError(f"a file of the table cannot be read: {line}")
    return None


@contextmanager
def clear_errors(spark: "SparkSession", patience: float = _PATIENCE_SECONDS) -> Iterator[None]:
    """Turn what breaks in the block into errors that say what helps, and end it where no executor is left.

    Spark itself waits for executors for ever, as it must where a master that was restarted has forgotten the
    application and gives it no other.
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
                f"there has been no executor for {patience:.0f} seconds: the workers are gone, or the master was "
                "restarted and knows this application no more. Bring workers back, and start again"
            ) from error
        clear = explained(str(error))
        if clear is None:
            raise
        raise clear from error
    finally:
        watch.end()


class _Watch(threading.Thread):
    """Looks after a session's executors while it works; cancels its jobs where there has been none for too long."""

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
            except Exception:  # the session is gone, which the work itself will meet
                return

    def end(self) -> None:
        self._over.set()
        if self.is_alive():
            self.join(timeout=10)
