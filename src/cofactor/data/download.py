"""Fetch a data set: from its own address first, then from the Python package that carries the same ratings.

What comes is verified before anything is kept, and only the two files that are needed are unpacked.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cofactor.data import recbole
from cofactor.errors import DownloadError

if TYPE_CHECKING:
    from cofactor.data.catalog import Dataset

__all__ = ["fetch"]

_CONNECT, _READ = 5, 30  # seconds: an address out of reach is given up soon, a slow one is not
_PACKAGE_SECONDS = 300


def fetch(entry: "Dataset", cache: Path, scratch: Path, *, progress: bool) -> Path:
    """Return a folder under ``scratch`` with the data set's two files, verified and synced to disk.

    Raises
    ------
    DownloadError
        If no source gave them; the text says what each one said and what can be done.
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
        f"{entry.name} is not on this machine and could not be fetched: {'; '.join(tried)}. Try again with a network, "
        f"or put the zip at {cache / f'{entry.name}.zip'}, or its unpacked files in {cache / entry.name}, or set "
        f"COFACTOR_DATA to a folder that holds them, or use a made-up set such as synthetic:1000x500x50000"
    )


def _by_zip(entry: "Dataset", cache: Path, scratch: Path, made: Path, progress: bool) -> None:
    by_hand = cache / f"{entry.name}.zip"
    archive = by_hand if by_hand.is_file() else scratch / "download.zip"
    if archive != by_hand:
        _download(entry, archive, progress)
    where = str(by_hand) if archive == by_hand else entry.url
    if entry.md5 and (found := _sum(archive, "md5")) != entry.md5:
        raise DownloadError(f"{where} did not verify: its md5 is {found}, not {entry.md5}")
    try:
        with zipfile.ZipFile(archive) as content:
            for name in (entry.ratings_file, entry.titles_file):
                with content.open(f"{entry.folder}/{name}") as packed, (made / name).open("wb") as file:
                    shutil.copyfileobj(packed, file, 1 << 20)
    except (zipfile.BadZipFile, KeyError, EOFError, RuntimeError) as error:
        raise DownloadError(f"{where} is not the zip that it should be ({error})") from error


def _download(entry: "Dataset", archive: Path, progress: bool) -> None:
    from pooch import HTTPDownloader  # with requests: too heavy for those who have the data already

    bar: Any = _Bar(entry.title) if progress else False
    try:
        HTTPDownloader(progressbar=bar, timeout=(_CONNECT, _READ))(entry.url, str(archive), None)
    except OSError as error:  # requests' own errors are OSErrors too
        raise DownloadError(f"{entry.url} cannot be fetched ({_short(error)})") from error
    finally:
        if progress:
            bar.close()


class _Bar:
    """The part of a tqdm bar that pooch needs, drawn by rich."""

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True))
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
        self._progress.advance(self._task, amount)

    def reset(self) -> None:
        """Forget the progress; pooch does so once, just to fill the bar at the end."""
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        self._progress.stop()


def _by_package(entry: "Dataset", cache: Path, scratch: Path, made: Path, progress: bool) -> None:
    folder = scratch / "wheel"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += [
        "--no-deps",
        "--only-binary=:all:",
        "--retries",
        "1",
        "--timeout",
        "10",
        "-d",
        str(folder),
        entry.package,
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PACKAGE_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise DownloadError(f"pip download {entry.package} took over {_PACKAGE_SECONDS} seconds") from error
    if done.returncode:
        raise DownloadError(f"pip download {entry.package} failed ({_pip_error(done.stderr)})")
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise DownloadError(f"pip download {entry.package} brought {len(wheels)} wheels, not one")
    recbole.write_movielens(wheels[0], made / entry.ratings_file, made / entry.titles_file)
    found = _sum(made / entry.ratings_file, "sha256")
    if found != entry.ratings_sha256:
        raise DownloadError(f"the ratings in {entry.package} did not verify: {found}, not {entry.ratings_sha256}")


def _pip_error(text: str) -> str:
    if "No module named pip" in text:
        return "pip is not installed: python -m ensurepip brings it"
    lines = [line for line in text.splitlines() if line.startswith("ERROR")] or text.splitlines() or ["no reason given"]
    return lines[-1].strip()[:200]


def _short(error: Exception) -> str:
    """Say in a few words why a download failed; requests nests its reasons over many lines."""
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
    """Have the files on disk before the folder is renamed: a power cut must not leave a name without content."""
    for path in folder.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
