"""Named data sets: where they come from, their licences, and where they are cached.

Each has a folder in the user's cache folder, or in the folder that the variable COFACTOR_DATA names.
"""

import dataclasses
import functools
import logging
import shutil
import tempfile
import tomllib
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from cofactor.data import download, synthetic
from cofactor.data.arguments import check_callable, check_choice, check_text
from cofactor.data.array_store import cache_folder
from cofactor.data.columns import IdType
from cofactor.data.download import Dataset, DatasetFiles, cached_files
from cofactor.data.interactions import Interactions
from cofactor.data.readers import read_csv, read_movielens
from cofactor.errors import DownloadError, SettingError

__all__ = ["Dataset", "DatasetFiles", "Notify", "cache_folder", "dataset_files", "datasets", "load_dataset"]

logger = logging.getLogger(__name__)

Notify = Callable[[str], None]


def datasets() -> list[Dataset]:
    """List the named data sets, smallest first.

    Examples
    --------
    >>> [entry.name for entry in datasets()][:3]
    ['ml-100k', 'ml-latest-small', 'ml-1m']
    """
    return list(_catalog().values())


@functools.cache
def _catalog() -> dict[str, Dataset]:
    content = tomllib.loads(resources.files("cofactor.data").joinpath("catalog.toml").read_text("utf-8"))
    licences = {name: entry["text"].replace("\n", " ").strip() for name, entry in content["licences"].items()}
    entries = [Dataset(name=name, **entry) for name, entry in content["sets"].items()]
    return {
        entry.name: dataclasses.replace(
            entry, licence=licences[entry.licence].format(title=entry.title, readme=entry.readme)
        )
        for entry in entries
    }


def load_dataset(
    name: str, *, ids: IdType = "str", progress: bool = False, notify: Notify | None = None
) -> Interactions:
    """Load a named data set; it is downloaded the first time.

    Parameters
    ----------
    name : str
        A name from `datasets`, or ``synthetic:USERSxITEMSxRATINGS`` with an optional ``:SEED``.
    ids : {"str", "int"}
        Whether ids are kept as strings, or read as integers. Synthetic ids are integers.
    progress : bool
        Whether to draw a progress bar on the terminal during a download.
    notify : callable, optional
        Called with the licence text before the first download; by default the text is logged as a warning.

    Raises
    ------
    SettingError
        If there is no data set of that name.
    DownloadError
        If it is not cached and cannot be downloaded, or the download fails verification.

    Examples
    --------
    >>> load_dataset("synthetic:500x300x20000:7")
    500 users × 300 items, 20,000 ratings from 1 to 5, 13 %
    """
    check_text("name", name)
    check_choice("ids", ids, ("str", "int"))
    check_callable("notify", notify)
    if synthetic.is_synthetic(name):
        return synthetic.generate(synthetic.parse(name))
    files, reading = dataset_files(name, progress=progress, notify=notify), _entry(name).reading
    if not reading:
        return read_movielens(files.ratings, ids=ids, name=name)
    return read_csv(files.ratings, **reading, items=files.items, users=files.users, ids=ids, name=name)


def dataset_files(name: str, *, progress: bool = False, notify: Notify | None = None) -> DatasetFiles:
    """Return the paths of a named data set's files, downloading them the first time; see `load_dataset`."""
    entry = _entry(name)
    return cached_files(entry) or _fetch_once(entry, progress, notify or _warn)


def _warn(text: str) -> None:
    logger.warning("%s", text)


def _entry(name: str) -> Dataset:
    known = _catalog()
    if name in known:
        return known[name]
    import difflib

    close = difflib.get_close_matches(name.lower(), known, n=1)
    nearest = f", the nearest is {close[0]!r}" if close else ""
    raise SettingError(
        f"there is no data set {name[:60]!r}{nearest}: choose one of {', '.join(known)}, or "
        "synthetic:USERSxITEMSxRATINGS"
    )


def _fetch_once(entry: Dataset, progress: bool, notify: Notify) -> DatasetFiles:
    """Download a data set, with a lock against other processes, and put it in place in one step."""
    from filelock import FileLock  # brings asyncio, which importing cofactor must not wait for

    cache = cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f".{entry.name}.lock"):
            found = cached_files(entry)
            if found is not None:
                return found
            _sweep(cache, entry)
            notify(entry.licence)
            with tempfile.TemporaryDirectory(prefix=f".{entry.name}.", suffix=".part", dir=cache) as scratch:
                made = download.fetch(entry, cache, Path(scratch), progress=progress)
                _put_in_place(made, cache / entry.name, last=entry.ratings_file)
    except DownloadError:
        raise
    except OSError as error:
        raise DownloadError(
            f"{cache} cannot be written to ({error.strerror or error}): set COFACTOR_DATA to one that can"
        ) from error
    found = cached_files(entry)
    assert found is not None  # it was just put there
    return found


def _sweep(cache: Path, entry: Dataset) -> None:
    """Delete leftovers of killed processes; we hold the lock, so no other process uses them."""
    for left in cache.glob(f".{entry.name}.*.part"):
        shutil.rmtree(left, ignore_errors=True)


def _put_in_place(made: Path, folder: Path, *, last: str) -> None:
    """Rename a finished folder to its final place; if that exists, move its files, the ratings file last."""
    if not folder.exists():
        made.rename(folder)
        return
    for file in sorted(made.iterdir(), key=lambda file: file.name == last):
        file.replace(folder / file.name)
