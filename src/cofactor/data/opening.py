"""Open a table's bytes: plain, gzip, zstandard, or a zip with one table inside."""

import contextlib
import gzip
import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, cast

import polars as pl

from cofactor.errors import DataError, first_line

__all__ = ["existing", "inner_suffix", "opened"]

_PACKED = {".gz": (b"\x1f\x8b", "gzip"), ".zst": (b"\x28\xb5\x2f\xfd", "zstandard"), ".zip": (b"PK", "zip")}
_TABLES = (".csv", ".tsv", ".txt", ".dat", ".data", ".inter", ".item", ".user")
# NotImplementedError is what zipfile raises where it does not know the compression
_BROKEN = (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile, NotImplementedError)


def existing(path: str | os.PathLike[str]) -> Path:
    """Return the path of an existing non-empty file, or raise an error that says what is there instead."""
    file = Path(path)
    if file.is_dir():
        inside = sorted(entry.name for entry in file.iterdir() if not entry.name.startswith("."))
        listed = f": give one of its files, {', '.join(inside[:8])}" if inside else " with nothing in it"
        raise DataError(f"{file} is a folder{listed}")
    if not file.exists():
        raise DataError(f"{file} does not exist{_neighbours(file)}")
    if not file.is_file():
        raise DataError(f"{file} is neither a file nor a folder: copy its content to a file first")
    if not file.stat().st_size:
        raise DataError(f"{file} is empty: it needs at least one row")
    return file


def _neighbours(file: Path) -> str:
    folder = file.parent
    if not folder.is_dir():
        return f", nor does its folder {folder}: check the path"
    import difflib

    close = difflib.get_close_matches(file.name, [entry.name for entry in folder.iterdir()], n=1)
    return f": did you mean {close[0]}?" if close else ": check the path"


def inner_suffix(path: str | os.PathLike[str]) -> str:
    """Return the suffix of the table itself: ``.csv`` of ``ratings.csv.gz``."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], encoding: str = "utf-8") -> Iterator[BinaryIO]:
    """Open a file for reading as UTF-8 bytes, unpacked.

    Raises
    ------
    DataError
        If the file is missing, a folder, empty, or damaged; also if that only shows while it is read.
    """
    file = existing(path)
    packing = _packing(file)
    try:
        with contextlib.ExitStack() as stack:
            stream = _unpacked(file, packing, stack)
            yield stream if _is_utf8(encoding) else cast(BinaryIO, _Recoded(stream, encoding))
    except _BROKEN as error:
        raise DataError(f"{file} is a damaged {packing} file ({error}): download or compress it again") from error
    except UnicodeError as error:
        raise DataError(f"{file} is not {encoding} text ({error}): give its encoding='…'") from error
    except OSError as error:
        raise DataError(
            f"{file} cannot be read ({error.strerror or error}): check its permissions, and the disk"
        ) from error


def _is_utf8(encoding: str) -> bool:
    try:
        "".encode(encoding)
    except LookupError as error:
        raise DataError(f"encoding is {encoding!r}, which Python does not know: try 'utf-8' or 'latin-1'") from error
    return encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")


class _Recoded:
    """A stream of text in another encoding, read as UTF-8."""

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self._text = io.TextIOWrapper(stream, encoding, newline="")

    def read(self, size: int) -> bytes:
        return self._text.read(size).encode()


def _packing(file: Path) -> str:
    """Detect the compression of a file by its first bytes."""
    try:
        with file.open("rb") as stream:
            head = stream.read(4)
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}): check its permissions, and the disk") from error
    for suffix, (magic, name) in _PACKED.items():
        if head.startswith(magic) and (name != "zip" or head[2:4] in (b"\x03\x04", b"\x05\x06")):
            return name
        if file.suffix.lower() == suffix:
            raise DataError(f"{file} is not a {name} file: rename it or download it again")
    return "plain"


def _unpacked(file: Path, packing: str, stack: contextlib.ExitStack) -> BinaryIO:
    match packing:
        case "gzip":
            return cast(BinaryIO, stack.enter_context(gzip.open(file, "rb")))
        case "zip":
            return cast(BinaryIO, _member(file, stack))
        case "zstandard":
            return _from_zstandard(file)
    return stack.enter_context(file.open("rb"))


def _member(file: Path, stack: contextlib.ExitStack) -> IO[bytes]:
    """Open the only table of a zip."""
    archive = stack.enter_context(zipfile.ZipFile(file))
    names = [name for name in archive.namelist() if not name.endswith("/") and "__MACOSX" not in name]
    tables = [
        name for name in names if name.lower().endswith(_TABLES) and not Path(name).name.startswith((".", "README"))
    ]
    if len(tables) != 1:
        held = f"{len(tables)} tables ({', '.join(tables[:6])})" if tables else f"no table among its {len(names)} files"
        raise DataError(f"{file} holds {held}, not one: unzip it and give the table's own path")
    try:
        return stack.enter_context(archive.open(tables[0]))
    except RuntimeError as error:  # raised for a password
        raise DataError(f"{file} cannot be opened ({error}): unzip it yourself and give the table's path") from error


def _from_zstandard(file: Path) -> BinaryIO:
    """Decompress with polars (Python's own decoder came with 3.14): each line is read as one column."""
    try:
        lines = pl.read_csv(file, separator="\x01", quote_char=None, has_header=False, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"{file} is not valid zstandard-compressed UTF-8 text ({first_line(error)}): unpack it first"
        ) from error
    text = io.BytesIO()
    lines.write_csv(text, include_header=False, quote_style="never", separator="\x01")
    text.seek(0)
    return text
