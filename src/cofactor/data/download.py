"""Where the files of a named data set are, and how they are fetched.

From its own address first, then from the Python package that carries the same ratings. A download is verified
before anything is kept, and only the files that are needed are unpacked.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cofactor.data.array_store import cache_folder
from cofactor.data.attribute_files import GENRES
from cofactor.errors import DownloadError

__all__ = ["Dataset", "DatasetFiles", "cached_files", "fetch", "write_from_recbole"]

_CONNECT, _READ = 5, 30  # seconds to connect and to read
_PACKAGE_SECONDS = 300
_LONGEST = 2  # times the expected size, after which a download is stopped
_UNPACKED = 100  # times the size of the download: no file of ratings is packed as well as that
_RECBOLE_BYTES = 10_000_000  # of each file that is taken from that package
_RECBOLE_FOLDER = "recbole/dataset_example/ml-100k/ml-100k"
_RATINGS_HEADER = b"user_id:token\titem_id:token\trating:float\ttimestamp:float"
_ITEMS_HEADER = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"
_USERS_HEADER = "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token"
_NAMELESS = "unkonwn"  # the spelling in that file


@dataclass(frozen=True)
class Dataset:
    """A named data set.

    Parameters
    ----------
    name, title, subject : str
        What `load_dataset` takes, the full name, and what the ratings are about.
    users, items, ratings : int
        Its size.
    licence, readme : str
        The licence in short, and the address of the full text.
    url, md5 : str
        The address of the zip, and its checksum ("" if none is published).
    download_bytes : int
        The size of that file.
    folder, ratings_file, items_file, users_file : str
        The folder in the zip, and the files in it that are kept.
    package, ratings_sha256 : str
        A Python package with the same ratings, and the checksum of the ratings file made from it.
    reading : mapping
        Arguments of `read_csv` for a file that is not in a layout of MovieLens, such as the names of its columns.
    """

    name: str
    title: str
    subject: str
    users: int
    items: int
    ratings: int
    licence: str
    readme: str
    url: str
    download_bytes: int
    folder: str
    ratings_file: str
    items_file: str = ""
    users_file: str = ""
    md5: str = ""
    package: str = ""
    ratings_sha256: str = ""
    reading: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cached(self) -> bool:
        """Whether the data set is on this machine already."""
        return cached_files(self) is not None


@dataclass(frozen=True)
class DatasetFiles:
    """The files of a cached data set; those of items and users may be missing if they were put there by hand."""

    ratings: Path
    items: Path | None
    users: Path | None


def cached_files(entry: Dataset) -> DatasetFiles | None:
    """Find the files in the folder named after the data set or after the folder in its zip."""
    for folder in dict.fromkeys((cache_folder() / entry.name, cache_folder() / entry.folder)):
        ratings, *others = (folder / name for name in (entry.ratings_file, entry.items_file, entry.users_file))
        if ratings.is_file():
            return DatasetFiles(ratings, *(file if file.is_file() else None for file in others))
    return None


def fetch(entry: Dataset, cache: Path, scratch: Path, *, progress: bool) -> Path:
    """Return a folder under ``scratch`` with the data set's files, verified and synced to disk.

    Raises
    ------
    DownloadError
        If no source worked; the text has the reason of each and what to do.
    """
    made = scratch / "made"
    made.mkdir()
    tried = []
    for source, get in (("zip", _by_zip), ("package", _by_package)):
        if source == "package" and not entry.package:
            continue
        try:
            get(entry, cache, scratch, made, progress)
        except DownloadError as error:
            tried.append(str(error))
        else:
            _sync(made)
            return made
    raise DownloadError(
        f"{entry.name} is not on this machine and could not be downloaded: {'; '.join(tried)}. Try again with a "
        f"network, or put the zip at {cache / f'{entry.name}.zip'}, or its unpacked files in {cache / entry.name}, or "
        f"set COFACTOR_DATA to a folder that holds them, or use a made-up set such as synthetic:1000x500x50000"
    )


def _by_zip(entry: Dataset, cache: Path, scratch: Path, made: Path, progress: bool) -> None:
    by_hand = cache / f"{entry.name}.zip"
    archive = by_hand if by_hand.is_file() else scratch / "download.zip"
    if archive != by_hand:
        _download(entry, archive, progress)
    where = str(by_hand) if archive == by_hand else entry.url
    if entry.md5 and (found := _sum(archive, "md5")) != entry.md5:
        raise DownloadError(f"{where} failed verification: its md5 is {found}, not {entry.md5}")
    try:
        with zipfile.ZipFile(archive) as content:
            for name in filter(None, (entry.ratings_file, entry.items_file, entry.users_file)):
                size = content.getinfo(f"{entry.folder}/{name}").file_size
                if size > _UNPACKED * entry.download_bytes:
                    raise DownloadError(f"{where} is not the expected zip ({name} in it would have {size:,} bytes)")
                with content.open(f"{entry.folder}/{name}") as packed, (made / name).open("wb") as file:
                    shutil.copyfileobj(packed, file, 1 << 20)
    except (zipfile.BadZipFile, KeyError, EOFError, RuntimeError) as error:
        raise DownloadError(f"{where} is not the expected zip ({error})") from error


def _download(entry: Dataset, archive: Path, progress: bool) -> None:
    from pooch import HTTPDownloader  # imports requests, only needed for downloads

    bar = _Bar(entry.title, _LONGEST * entry.download_bytes, shown=progress)
    try:
        HTTPDownloader(progressbar=bar, timeout=(_CONNECT, _READ))(entry.url, str(archive), None)
    except OSError as error:  # requests' own errors are OSErrors too
        raise DownloadError(f"{entry.url} cannot be downloaded ({_short(error)})") from error
    finally:
        bar.close()


class _Bar:
    """A progress bar with the methods of tqdm that pooch calls, drawn by rich; it stops a download that goes on and on.

    Parameters
    ----------
    title : str
    most : int
        The most bytes.
    shown : bool
    """

    def __init__(self, title: str, most: int, *, shown: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._most, self._done = most, 0
        self._progress = Progress(*columns, console=Console(stderr=True), disable=not shown)
        self._task = self._progress.add_task(title, total=None)
        self._progress.start()

    @property
    def total(self) -> int | None:
        total = self._progress.tasks[0].total
        return None if total is None else int(total)

    @total.setter
    def total(self, total: int) -> None:
        self._progress.update(self._task, total=total)

    def update(self, amount: int) -> None:
        self._done += amount
        if self._done > self._most:
            raise OSError(f"it has more than {self._most:,} bytes, which is not the expected file")
        if not self._progress.disable:
            self._progress.advance(self._task, amount)

    def reset(self) -> None:
        """Set the progress to 0; pooch calls it once before it fills the bar."""
        self._done = 0
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        self._progress.stop()


def _by_package(entry: Dataset, cache: Path, scratch: Path, made: Path, progress: bool) -> None:
    folder = scratch / "wheel"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--only-binary=:all:", "--retries", "1", "--timeout", "10", "-d", str(folder)]
    command.append(entry.package)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PACKAGE_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise DownloadError(f"pip download {entry.package} took over {_PACKAGE_SECONDS} seconds") from error
    if done.returncode:
        raise DownloadError(f"pip download {entry.package} failed ({_pip_error(done.stderr)})")
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise DownloadError(f"pip download {entry.package} brought {len(wheels)} wheels, not one")
    write_from_recbole(wheels[0], *(made / name for name in (entry.ratings_file, entry.items_file, entry.users_file)))
    found = _sum(made / entry.ratings_file, "sha256")
    if found != entry.ratings_sha256:
        raise DownloadError(
            f"the ratings in {entry.package} failed verification: their sha256 is {found}, not {entry.ratings_sha256}"
        )


def _pip_error(text: str) -> str:
    if "No module named pip" in text:
        return "pip is not installed: python -m ensurepip brings it"
    lines = [line for line in text.splitlines() if line.startswith("ERROR")] or text.splitlines() or ["no reason given"]
    return lines[-1].strip()[:200]


def _short(error: Exception) -> str:
    """Return in a few words why a download failed; requests nests reasons over many lines."""
    text = " ".join(str(error).split())
    for sign, words in (
        ("resolve", "its name cannot be resolved: no network?"),
        ("timed out", "no answer in time"),
        ("refused", "connection refused"),
    ):
        if sign in text:
            return words
    return text[:200] or type(error).__name__


def _sum(file: Path, kind: str) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def _sync(folder: Path) -> None:
    """Sync the files before the folder is renamed, so that a power cut cannot leave an incomplete folder."""
    for path in folder.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def write_from_recbole(wheel: Path, ratings: Path, items: Path, users: Path) -> None:
    """Write u.data, u.item and u.user, as GroupLens lays them out, from the wheel of the package RecBole.

    RecBole keeps the ratings in u.data's order under a header of its own, and splits a film's title and year:
    ``Toy Story``, ``1995``, ``Animation Children's Comedy``.

    Raises
    ------
    DownloadError
        If the wheel is broken or holds something else.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [f"{_RECBOLE_FOLDER}.{kind}" for kind in ("inter", "item", "user")]
            if max(archive.getinfo(name).file_size for name in names) > _RECBOLE_BYTES:
                raise DownloadError(f"{wheel.name} does not hold MovieLens 100K (its files are larger)")
            interactions = archive.read(names[0])
            films, people = (archive.read(name).decode() for name in names[1:])
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError) as error:
        raise DownloadError(f"{wheel.name} does not hold MovieLens 100K ({error})") from error
    header, _, rows = interactions.partition(b"\n")
    first, *lines = films.splitlines()
    users_header, *rows_of_users = people.splitlines()
    if (header.rstrip(), first, users_header) != (_RATINGS_HEADER, _ITEMS_HEADER, _USERS_HEADER):
        raise DownloadError(f"{wheel.name} holds MovieLens 100K in another layout than expected")
    ratings.write_bytes(rows)
    text = "".join(f"{_item_line(line)}\n" for line in lines)
    items.write_bytes(text.encode("latin-1", "replace"))
    users.write_text("".join("|".join(row.split("\t")) + "\n" for row in rows_of_users), encoding="utf-8")


def _item_line(line: str) -> str:
    """Convert a film's line to the layout of u.item: id, title (year), three empty fields, genre flags.

    >>> _item_line("2\\tGoldenEye\\t1995\\tAction Thriller")
    '2|GoldenEye (1995)||||0|1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|1|0|0'
    """
    item, title, year, genres = line.split("\t")
    named = "unknown" if title == _NAMELESS else f"{title} ({year})"
    held = genres.split()
    flags = ["1" if genre in held else "0" for genre in GENRES]
    return "|".join([item, named, "", "", "", *flags])
