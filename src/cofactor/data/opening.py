"""Open a table's bytes: plain, gzip, zstandard, or a zip with one table inside."""

import contextlib
import glob
import gzip
import io
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from cofactor.data.arguments import path_of
from cofactor.data.memory_limit import Limit
from cofactor.errors import DataError, SettingError

__all__ = ["PACKED", "Unpacked", "existing", "files_of", "inner_suffix", "is_pattern", "opened", "shown", "text_of"]

_PACKED = {".gz": (b"\x1f\x8b", "gzip"), ".zst": (b"\x28\xb5\x2f\xfd", "zstandard"), ".zip": (b"PK", "zip")}
PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")
"""How packed files begin."""

_TABLES = (".csv", ".tsv", ".txt", ".dat", ".data", ".inter", ".item", ".user")
# NotImplementedError is what zipfile raises where it does not know the compression
_BROKEN = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError)
_DIRECTORY = 1 << 24  # bytes of a zip's list of files: it takes ten times as much once it is read
_BLOCK = 1 << 24


def existing(path: str | os.PathLike[str]) -> Path:
    """Return the path of an existing non-empty file, or raise an error that says what is there instead."""
    file = Path(path)
    if file.is_dir():
        inside = sorted(entry.name for entry in file.iterdir() if not entry.name.startswith("."))
        suffixes = {Path(name).suffix for name in inside}
        several = f", or all as {file / f'*{suffixes.pop()}'}" if len(inside) > 1 and len(suffixes) == 1 else ""
        listed = f": give one of its files, {', '.join(inside[:8])}{several}" if inside else " with nothing in it"
        raise DataError(f"{file} is a folder{listed}")
    if not file.exists():
        raise DataError(f"{file} does not exist{_neighbours(file)}")
    if not file.is_file():
        raise DataError(f"{file} is neither a file nor a folder: copy its content to a file first")
    if not file.stat().st_size:
        raise DataError(f"{file} is empty: it needs at least one row")
    return file


def is_pattern(path: object) -> bool:
    """Return whether a path is a pattern such as ``2024/*.csv``, and no file of that name is there."""
    return isinstance(path, str | Path) and glob.has_magic(str(path)) and not Path(path).exists()


def files_of(given: object) -> list[Path]:
    """Return the paths that a path, a pattern or a list of these stands for: each once, those of a pattern by name.

    Raises
    ------
    DataError
        If nothing matches a pattern.
    SettingError
        If it is none of these.
    """
    if isinstance(given, list | tuple):
        if not given:
            raise SettingError("path is an empty list: give at least one file")
        return list({found.resolve(): found for one in given for found in files_of(one)}.values())
    path = path_of(given)
    if not is_pattern(given):
        return [path]
    found = sorted(Path(name) for name in glob.glob(str(given), recursive=True))  # noqa: PTH207  (of any folder)
    if not found:
        raise DataError(f"nothing matches {str(given)!r}: check the folder and the pattern")
    return found


def shown(files: Sequence[Path]) -> str:
    """Name one or several files in an error."""
    return str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1:,} more"


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


class Unpacked:
    """A table's bytes, unpacked and in UTF-8.

    Parameters
    ----------
    stream : binary stream
        What is read.
    file : binary stream
        The file below it.
    size : int
        The bytes of that file.
    """

    def __init__(self, stream: Any, file: IO[bytes], size: int) -> None:
        self._stream, self._file, self._size = stream, file, size

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most ``size``; none at the end."""
        found: bytes = self._stream.read(size)
        return found

    def whole(self, needed: int) -> int:
        """Return what all of it needs, given what is needed of the part that was read."""
        return int(needed * max(self._size / max(self._file.tell(), 1), 1))


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], encoding: str = "utf-8") -> Iterator[Unpacked]:
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
            raw = stack.enter_context(file.open("rb"))
            stream = _unpacked(file, raw, packing, stack)
            yield Unpacked(stream if _is_utf8(encoding) else _Recoded(stream, encoding), raw, file.stat().st_size)
    except _BROKEN as error:
        raise _damaged(file, packing, error) from error
    except UnicodeError as error:
        raise DataError(f"{file} is not {encoding} text ({error}): give its encoding='…'") from error
    except OSError as error:
        raise DataError(
            f"{file} cannot be read ({error.strerror or error}): check its permissions, and the disk"
        ) from error
    except MemoryError as error:
        raise DataError(f"{file} takes more memory than there is: unpack it, or write less of it to a file") from error


def text_of(path: str | os.PathLike[str], each: int) -> bytes:
    """Return the text of a small file, such as one of attributes.

    Parameters
    ----------
    path : path
    each : int
        The bytes of memory that a byte of the text takes once it is read.

    Raises
    ------
    DataError
        As by `opened`, and if it takes more memory than reading may.
    """
    limit, text = Limit.of(None), bytearray()
    with opened(path) as stream:
        while block := stream.read(limit.share(64, _BLOCK)):
            text += block
            if limit.exceeded_by(each * len(text)):
                limit.check(stream.whole(each * len(text)), path, lambda _: "leave out rows or columns")
    return bytes(text)


def _damaged(file: Path, packing: str, error: Exception) -> DataError:
    return DataError(f"{file} is a damaged {packing} file ({error}): download or compress it again")


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


def _unpacked(file: Path, raw: IO[bytes], packing: str, stack: contextlib.ExitStack) -> Any:
    match packing:
        case "gzip":
            return stack.enter_context(gzip.GzipFile(fileobj=raw))
        case "zip":
            return _member(file, raw, stack)
        case "zstandard":
            return stack.enter_context(_from_zstandard(file, raw))
    return raw


def _member(file: Path, raw: IO[bytes], stack: contextlib.ExitStack) -> IO[bytes]:
    """Open the only table of a zip."""
    if _directory_size(raw) > _DIRECTORY:
        raise DataError(f"{file} holds too many files: unzip it and give the table's own path")
    archive = stack.enter_context(zipfile.ZipFile(raw))
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


def _directory_size(raw: IO[bytes]) -> int:
    """Return the bytes of a zip's list of files, as it says at its end; 0 if it does not."""
    size = raw.seek(0, os.SEEK_END)
    raw.seek(max(size - (1 << 16) - 98, 0))  # a comment, and the records of the old and the new format
    tail = raw.read()
    raw.seek(0)
    new, old = tail.rfind(b"PK\x06\x06"), tail.rfind(b"PK\x05\x06")
    sizes = [
        struct.unpack_from(kind, tail, at + offset)[0]
        for kind, at, offset in (("<Q", new, 40), ("<L", old, 12))
        if at >= 0 and at + offset + 8 <= len(tail)
    ]
    return max((found for found in sizes if found != 0xFFFFFFFF), default=0)


@contextlib.contextmanager
def _from_zstandard(file: Path, raw: IO[bytes]) -> Iterator[IO[bytes]]:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # since Python 3.14
    except ImportError:
        from backports import zstd
    try:
        with zstd.ZstdFile(raw) as stream:
            yield stream
    except zstd.ZstdError as error:
        raise _damaged(file, "zstandard", error) from error
