"""Top n for everyone: a range of users after the other, each kept when it is done, joined to one file at the end.

Beside ``lists.parquet``, a folder ``lists.parquet.parts`` holds a file for each range that is done and a note of what
was asked. Whatever ends a run, be it Ctrl-C, a kill or a power cut, the same call goes on after the last range that was
done, and writes the same bytes. Parts of another question (another model, n, filter or version) are thrown away.

Memory: a range has at most `ROWS_AT_ONCE` rows of lists and `NUMBERS_AT_ONCE` numbers of user vectors, and its search
holds `cofactor.lists.exact.SCORES_AT_ONCE` scores. With what polars needs to write, that stays below `BUDGET`
beyond the model and its index, however many users and items there are.
"""

import contextlib
import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from cofactor.errors import SettingError
from cofactor.files import replacing
from cofactor.lists.answer import Catalog, answer
from cofactor.lists.filters import ItemFilter
from cofactor.lists.request import ListRequest
from cofactor.lists.retriever import Retriever, Users
from cofactor.lists.table_formats import check_table_format
from cofactor.version import __version__

__all__ = ["BUDGET", "parts_folder", "write_everyone"]

BUDGET = 512 * 2**20
"""Bytes that writing everyone's lists may take beyond the model and its index."""

USERS_AT_ONCE = 8192
ROWS_AT_ONCE = 500_000
NUMBERS_AT_ONCE = 8_000_000

MANIFEST = "manifest.json"
OURS = re.compile(rf"part-\d+\.parquet|{re.escape(MANIFEST)}|lock|\..+\.part")
"""What a folder of parts may hold; one with anything else in it is somebody's own."""

HALF_WRITTEN = re.compile(r"\..+\.part")

log = logging.getLogger(__name__)


def write_everyone(
    catalog: Catalog,
    retriever: Retriever,
    users: Users,
    path: Path,
    request: ListRequest,
    *,
    ids: pl.Series | None = None,
    card: Mapping[str, Any],
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write the lists of all users, or of some, to one file, whose name says its format.

    Parameters
    ----------
    catalog, retriever, users
        As `cofactor.lists.answer.answer` takes them.
    path : Path
        The file to write.
    request : ListRequest
    ids : polars.Series, optional
        Raw ids of the users to write, in this order; all of the catalog if not given.
    card : mapping
        What the lists depend on besides the request, such as the model's digest; the file's metadata says it.
    progress : callable, optional
        Called with the number of users done so far.
    """
    if path.is_dir():
        raise SettingError(f"{path} is a folder: give the name of the file to write")
    check_table_format(path)
    wanted = catalog.user_ids.ids if ids is None else ids
    chosen = ItemFilter.of(request, catalog.item_ids, catalog.metadata)
    retriever.prepare(len(wanted))  # which one part alone might not be worth
    n_chosen = chosen.n_items if chosen.candidates is None else len(chosen.candidates)
    step = _users_at_once(request.n, n_chosen, users.vectors.shape[1])
    question = {**card, **_asked(request, chosen), "users": _name_of(ids), "users_in_a_part": step}

    def table(part: slice) -> pl.DataFrame:
        return answer(catalog, retriever, users, wanted[part], request, chosen)

    folder, empty = parts_folder(path), table(slice(0, 0))  # which refuses rules that do not suit the items
    with _held(folder, path):
        _keep_only_answers_to(question, folder)
        parts = _finished(folder, len(wanted), step, table, progress)
        _join(parts, empty, question, folder, path)
    return path


def _asked(request: ListRequest, chosen: ItemFilter) -> dict[str, Any]:
    """Return what a request asks for, as JSON can hold it."""
    pairs = {"own_candidates": chosen.own_candidates, "own_exclusions": chosen.own_exclusions}
    return {
        "cofactor": __version__,
        "n": request.n,
        "exclude_seen": bool(request.exclude_seen),
        "on_unknown": request.on_unknown,
        "by": request.by,
        "rerank": [repr(reranker) for reranker in request.rerank],
        "items": "all" if chosen.candidates is None else _name_of(pl.Series(chosen.candidates)),
        **{name: "none" if frame is None else _name_of_frame(frame) for name, frame in pairs.items()},
    }


def _finished(
    folder: Path,
    n_users: int,
    step: int,
    table: Callable[[slice], pl.DataFrame],
    progress: Callable[[int], None] | None,
) -> list[Path]:
    """Make the parts that are not there yet, and return where all of them are."""
    parts = []
    for first in range(0, n_users, step):
        last = min(first + step, n_users)
        parts.append(folder / f"part-{first:012}.parquet")
        if not parts[-1].exists():
            with replacing(parts[-1]) as beside:
                table(slice(first, last)).write_parquet(beside)
        if progress is not None:
            progress(last)
    return parts


def parts_folder(path: Path) -> Path:
    """Return the folder that holds what is done of a file."""
    return path.with_name(f"{path.name}.parts")


def _users_at_once(n: int, n_items: int, columns: int) -> int:
    """Decide how many users a range has, so that neither their lists nor their vectors take more than is planned."""
    by_rows = ROWS_AT_ONCE // max(1, min(n, n_items))
    return max(1, min(USERS_AT_ONCE, by_rows, NUMBERS_AT_ONCE // max(1, columns)))


def _name_of(ids: pl.Series | None) -> str:
    """Return a short name for a column of ids; "all" for none."""
    return "all" if ids is None else _name_of_frame(ids.to_frame())


def _name_of_frame(frame: pl.DataFrame) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for column in frame.iter_columns():
        digest.update(str(column.dtype).encode())
        texts = column.cast(pl.String)
        digest.update(np.ascontiguousarray(texts.str.len_bytes().fill_null(0).to_numpy()).tobytes())
        digest.update("".join(texts.fill_null("").to_list()).encode())
    return digest.hexdigest()


@contextlib.contextmanager
def _held(folder: Path, path: Path) -> Iterator[None]:
    """Keep other processes from writing the same file meanwhile; afterwards an empty folder goes."""
    from filelock import FileLock, Timeout  # brings asyncio, which `import cofactor` need not wait for

    folder.mkdir(parents=True, exist_ok=True)
    others = sorted(entry.name for entry in folder.iterdir() if not OURS.fullmatch(entry.name))
    if others:
        raise SettingError(f"{folder} holds {others[0]!r}, which is not a part of {path.name}: write to another file")
    lock = FileLock(folder / "lock")
    try:
        with lock.acquire(timeout=0):
            yield
    except Timeout:
        raise SettingError(f"another process is writing {path}: wait for it, or write to another file") from None
    if not any(entry.name != "lock" for entry in folder.iterdir()):
        (folder / "lock").unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # somebody has begun anew
            folder.rmdir()


def _keep_only_answers_to(question: Mapping[str, Any], folder: Path) -> None:
    """Throw away what answers another question, and what was left half-written; note down what is asked."""
    manifest = folder / MANIFEST
    with contextlib.suppress(FileNotFoundError, ValueError):
        if json.loads(manifest.read_text()) == question:
            _clear(folder, HALF_WRITTEN)
            return
        log.warning("%s holds lists of another model or with other settings: they are made anew", folder)
    _clear(folder, OURS)
    with replacing(manifest) as beside:
        beside.write_text(json.dumps(question, indent=2))


def _clear(folder: Path, names: re.Pattern[str]) -> None:
    for entry in sorted(folder.iterdir()):  # the manifest before the parts: what is left of them means nothing alone
        if entry.name != "lock" and names.fullmatch(entry.name):
            entry.unlink()


def _join(parts: Sequence[Path], empty: pl.DataFrame, card: Mapping[str, Any], folder: Path, path: Path) -> None:
    """Stream the parts into one file, which takes its place when it is whole, and remove them.

    A Parquet file says in its metadata what it answers.
    """

    def frames(*_: object) -> Iterator[pl.DataFrame]:
        for part in parts:
            yield pl.read_parquet(part)
        yield empty

    with replacing(path, inside=folder) as beside:
        lists = register_io_source(io_source=frames, schema=empty.schema, is_pure=True)
        if path.suffix == ".csv":
            lists.sink_csv(beside, maintain_order=True)
        elif path.suffix == ".jsonl":
            lists.sink_ndjson(beside, maintain_order=True)
        else:
            metadata = {"cofactor": json.dumps(card)}
            lists.sink_parquet(beside, maintain_order=True, row_group_size=ROWS_AT_ONCE, metadata=metadata)
    _clear(folder, OURS)
