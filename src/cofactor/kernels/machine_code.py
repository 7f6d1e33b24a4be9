"""Machine code kept on disk: it saves the time to compile, and no work depends on it."""

import functools
import hashlib
import inspect
import logging
import pickle
import platform
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import numba
import platformdirs
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from cofactor.files import replacing

__all__ = ["MachineCode"]

logger = logging.getLogger(__name__)

_DIGEST_BYTES = 32


class MachineCode(NullCache):
    """The machine code of one kernel on disk: a file for each signature, in the first folder that takes it.

    numba's own cache ends the work where no folder can be written to or a file is broken, ignores a folder that can
    only be read, and lets two processes that compile at once mix up their files. Here whatever is not whole, or was
    compiled from other sources, is compiled again; what cannot be written is not kept.

    Parameters
    ----------
    function : callable
        The kernel's Python function.
    """

    kept: ClassVar[list[Path]] = []
    """The files that this process wrote."""

    refused: ClassVar[str] = ""
    """Why no folder took the machine code of a kernel; empty as long as that did not happen."""

    def __init__(self, function: Callable[..., Any]) -> None:
        source = Path(inspect.getfile(function))
        self._name = f"{source.stem}.{function.__qualname__}"
        self._folders = list(_folders(source))
        self._stamp = _stamp(source.parent)

    @property
    def cache_path(self) -> str:
        """The folder that is tried first."""
        return str(self._folders[0])

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the machine code of a signature; None if there is none that can be used."""
        target_context.refresh()
        name = self._file_name(sig, target_context.codegen())
        for folder in self._folders:
            try:
                stored = (folder / name).read_bytes()
                if stored[:_DIGEST_BYTES] == self._digest(stored[_DIGEST_BYTES:]):
                    return CompileResult._rebuild(target_context, *pickle.loads(stored[_DIGEST_BYTES:]))  # noqa: S301
            except Exception as error:
                logger.debug("machine code in %s cannot be used: %r", folder / name, error)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Write machine code to the first folder that takes it; say so once where none does."""
        reasons = []
        try:
            name, code = self._file_name(sig, data.codegen), dumps(data._reduce())
            for folder in self._folders:
                try:
                    with replacing(folder / name) as beside:
                        beside.write_bytes(self._digest(code) + code)
                    MachineCode.kept.append(folder / name)
                    return
                except OSError as error:
                    reasons.append(f"{folder}: {error.strerror or error}")
        except Exception as error:
            reasons.append(repr(error))
        if not MachineCode.refused:
            MachineCode.refused = "; ".join(reasons)
            logger.warning(
                "compiled code cannot be kept on disk, so each process compiles again (%s): "
                "let NUMBA_CACHE_DIR name a folder that can be written to",
                MachineCode.refused,
            )

    def _file_name(self, signature: Any, codegen: Any) -> str:
        compiled_for = hashlib.blake2b(repr((signature, codegen.magic_tuple())).encode(), digest_size=8).hexdigest()
        return f"{self._name}-{compiled_for}.nbc"

    def _digest(self, code: bytes) -> bytes:
        return hashlib.blake2b(code, key=self._stamp, digest_size=_DIGEST_BYTES).digest()


def _folders(source: Path) -> Iterable[Path]:
    """Yield where machine code may be: where the environment says, beside its source, in the user's cache."""
    place = f"{source.parent.name}-{hashlib.blake2b(bytes(source.parent), digest_size=8).hexdigest()}"
    if numba.config.CACHE_DIR:
        yield Path(numba.config.CACHE_DIR) / place
    yield source.parent / "__pycache__"
    own = platformdirs.user_cache_path("cofactor")
    if own.is_absolute():  # not so for a user without a home
        yield own / "kernels" / place


@functools.cache
def _stamp(folder: Path) -> bytes:
    """Return a digest of all that machine code of a folder depends on: sources, which call each other, and numba."""
    made = hashlib.blake2b(f"{numba.__version__} {platform.python_version()}".encode(), digest_size=32)
    for one in sorted({folder, Path(__file__).parent}):
        for source in sorted(one.glob("*.py")):
            made.update(source.read_bytes())
    return made.digest()
