"""Files and folders by URL, in Spark's file systems: ``file://``, ``hdfs://``, ``s3a://``."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["delete", "exists", "is_file", "names_in", "opened", "rename", "url_of", "working_folder", "write_text"]


def url_of(path: str | PathLike[str]) -> str:
    """Return the URL of a path: as it is where it is one, else this machine's file.

    Nothing is escaped, since Hadoop takes escapes for parts of names.

    >>> url_of("s3a://bucket/ratings/"), url_of("/data/my ratings")
    ('s3a://bucket/ratings', 'file:///data/my ratings')
    """
    text = fspath(path)
    return text.rstrip("/") if re.match(r"\w+:/", text) else f"file://{Path(text).absolute()}"


def exists(spark: "SparkSession", url: str) -> bool:
    """Return whether a file or folder is there."""
    system, path = opened(spark, url)
    return bool(system.exists(path))


def is_file(spark: "SparkSession", url: str) -> bool:
    """Return whether a URL is a file's rather than a folder's."""
    system, path = opened(spark, url)
    return not system.getFileStatus(path).isDirectory()


def names_in(spark: "SparkSession", url: str) -> list[str]:
    """Return the names in a folder, in order; a file has none."""
    system, path = opened(spark, url)
    if not system.getFileStatus(path).isDirectory():
        return []
    return sorted(status.getPath().getName() for status in system.listStatus(path))


def delete(spark: "SparkSession", url: str) -> None:
    """Remove a file or a folder with all that is in it; nothing if it is not there."""
    system, path = opened(spark, url)
    system.delete(path, True)


def rename(spark: "SparkSession", old: str, new: str) -> None:
    """Give a folder another name, in one step where the file system can.

    Raises
    ------
    OSError
        If it cannot be done.
    """
    system, path = opened(spark, old)
    if not system.rename(path, opened(spark, new)[1]):
        raise OSError(f"{old} could not be renamed to {new}")


def write_text(spark: "SparkSession", url: str, text: str) -> None:
    """Write a small file."""
    system, path = opened(spark, url)
    stream = system.create(path, True)
    stream.write(bytearray(text.encode()))
    stream.close()


@contextmanager
def working_folder(spark: "SparkSession", beside: str) -> Iterator[str]:
    """Yield the URL of a new folder for intermediate results, with Spark's checkpoints in it; removed afterwards."""
    folder = f"{beside}.working-{secrets.token_hex(4)}"
    spark.sparkContext.setCheckpointDir(f"{folder}/checkpoints")  # else checkpointInterval is silently ignored
    try:
        yield folder
    finally:
        with suppress(Exception):  # of a cluster that is gone, what led here says more
            delete(spark, folder)


def opened(spark: "SparkSession", url: str) -> tuple[Any, Any]:
    """Return Hadoop's file system of a URL, and the path in it."""
    virtual: Any = spark.sparkContext._jvm
    path = virtual.org.apache.hadoop.fs.Path(url)
    return path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()), path
