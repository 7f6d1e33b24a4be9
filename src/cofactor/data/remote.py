"""Tables at URLs (``s3://``, ``gs://``, ``az://``, ``https://``, ``hf://``), through polars' own readers."""

import re
from collections.abc import Mapping, Sequence

import polars as pl

from cofactor.data.columns import DEFAULTS, Column
from cofactor.data.memory_limit import Limit
from cofactor.data.opening import inner_suffix
from cofactor.errors import DataError

__all__ = ["columns", "csv", "is_url", "without_secrets"]

_SCHEMES = ("s3", "s3a", "gs", "gcs", "az", "azure", "abfs", "abfss", "adl", "http", "https", "hf", "file")


def is_url(path: object) -> bool:
    """Return whether a path is a URL that polars reads."""
    found = re.match(r"(\w+)://", path) if isinstance(path, str) else None
    return found is not None and found[1].lower() in _SCHEMES


def without_secrets(url: str) -> str:
    """Return a URL for names and errors, without what may be a password or a signature."""
    return re.sub(r"//[^/@]*@", "//***@", url.partition("?")[0])


def csv(
    url: str, separator: str | None, names: Sequence[str] | None, encoding: str, *, has_header: bool
) -> pl.LazyFrame:
    """Return the columns of a text file at a URL as texts, not yet read.

    Raises
    ------
    DataError
        If the file is one that only `cofactor.data.delimited` reads, or cannot be reached.
    """
    separator = separator or ("\t" if inner_suffix(url.partition("?")[0]) in (".tsv", ".data", ".inter") else ",")
    if len(separator) > 1 or encoding.lower().replace("_", "-") not in ("utf-8", "utf8"):
        raise DataError(
            f"{without_secrets(url)} is read with a separator of one character and as UTF-8 only: download it and give "
            "its path"
        )
    try:
        table = pl.scan_csv(url, separator=separator, has_header=has_header, infer_schema=False)
        found = table.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreachable(url, error) from error
    if has_header:
        return table
    names = [*DEFAULTS, *(f"column_{at}" for at in range(5, len(found) + 1))][: len(found)] if names is None else names
    if len(names) != len(found):
        raise DataError(f"{without_secrets(url)} has {len(found)} columns, but columns= names {len(names)}")
    return table.rename(dict(zip(found, names, strict=True)))


def columns(
    table: pl.LazyFrame, url: str, wanted: Mapping[str, Column], limit: Limit, *, all_text: bool = False
) -> pl.DataFrame:
    """Read the wanted columns of a table at a URL.

    Raises
    ------
    DataError
        If it cannot be reached, lacks a column, or takes more memory than the limit.
    """
    from cofactor.data.frames import chosen_columns  # brings narwhals, which importing cofactor must not load

    try:
        table.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreachable(url, error) from error
    return chosen_columns(table, wanted, limit, place=without_secrets(url), all_text=all_text)


def _unreachable(url: str, error: Exception) -> DataError:
    text = " ".join(str(error).replace(url, without_secrets(url)).split())[:200]
    text = re.sub(r"\?\S+", "", text)
    return DataError(
        f"{without_secrets(url)} cannot be read ({text}): check the URL and the credentials in the environment, such "
        "as AWS_ACCESS_KEY_ID, or download it and give its path"
    )
