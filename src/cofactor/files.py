"""Write files whole or not at all (beside the target, synced, then renamed over it), and check a format's version."""

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

__all__ = ["checked_version", "exchanged_folder", "new_folder", "replacing"]

_OF_WRITING = {errno.ENOSPC, errno.EFBIG, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)}


def checked_version(
    found: object, newest: int, path: object, error: type[Exception], *, remedy: str = "write it again"
) -> int:
    """Return the format version that a stored file names, if this code reads it.

    Parameters
    ----------
    found : object
        What the file says.
    newest : int
        The newest version that this code reads; it reads all before it too.
    path : path
        The file, for the error's text.
    error : type
        What is raised where the version is newer, or none.
    remedy : str
        What to do with a file of an unknown version.

    Examples
    --------
    >>> checked_version(1, 2, "plays.bin", ValueError)
    1
    """
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise error(f"{path} has an unknown format version, {str(found)[:20]!r}: {remedy}")
    if found > newest:
        raise error(
            f"{path} has format version {found}, and this cofactor reads up to {newest}: pip install --upgrade cofactor"
        )
    return found


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], *, inside: Path | None = None) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; afterwards it takes ``path``'s place in one step.

    Where a killed process must leave nothing beside ``path``, ``inside`` names the folder, of the same file system, to
    write in.

    Where ``path`` is a link, the file that it points to is replaced, and the link stays.

    Whatever happens in between, a reader of ``path`` finds the old file or the new one, whole. If the block
    raises, the old file stays and the one beside it is removed. The file has the rights that any new one gets,
    whatever wrote it: safetensors writes for its owner alone.
    """
    target = Path(path)
    if target.is_symlink():
        target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = (inside or target.parent) / f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part"
    try:
        with _naming(target, beside):
            rights = _rights_of_new(beside)
            yield beside
            with beside.open("rb+") as written:
                os.fsync(written.fileno())
            beside.chmod(rights)
            beside.replace(target)
            _sync_folder(target.parent)
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a folder beside ``path`` to write files in; afterwards it takes the name ``path``, which must be free.

    A folder of that name is whole, whatever happens. If the block raises, nothing is left; a killed process leaves a
    folder whose name starts with a point and ends with ``.part``.
    """
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    beside.mkdir(parents=True)
    try:
        with _naming(target, beside):
            yield beside
            for file in beside.iterdir():
                with file.open("rb+") as written:
                    os.fsync(written.fileno())
            _sync_folder(beside)
            beside.rename(target)
            _sync_folder(target.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextlib.contextmanager
def exchanged_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a folder beside ``path`` to write files and folders in; afterwards it takes the place of ``path``.

    What was there is removed. If the block raises, the old folder stays and nothing else is left.
    """
    target = Path(path)
    target = target.resolve() if target.is_symlink() else target
    beside, old = (
        target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.{end}") for end in ("part", "old")
    )
    beside.mkdir(parents=True)
    try:
        with _naming(target, beside):
            yield beside
            for file in beside.rglob("*"):
                if file.is_file():
                    with file.open("rb+") as written:
                        os.fsync(written.fileno())
            if target.exists():
                target.rename(old)
            beside.rename(target)
            _sync_folder(target.parent)
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def _naming(target: Path, beside: Path) -> Iterator[None]:
    """Let what the system refuses to write name the target, whoever was writing.

    The name of what is beside it says nothing to a user; safetensors and polars, written in Rust, tell the system's
    number in a text only.
    """
    try:
        yield
    except Exception as error:
        told = re.search(r"\(os error (\d+)\)", str(error))
        code = int(told[1]) if told else getattr(error, "errno", None)
        if code is None or (
            code not in _OF_WRITING and not str(getattr(error, "filename", "")).startswith(str(beside))
        ):
            raise
        raise OSError(code, os.strerror(code), str(target)) from error


def _rights_of_new(path: Path) -> int:
    """Return the mode that a new file gets there; asking the umask itself would change it for all threads."""
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)
    path.unlink()
    return mode


def _sync_folder(folder: Path) -> None:
    """Make the renaming itself durable, where the system lets a folder be opened (Windows does not)."""
    with contextlib.suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
