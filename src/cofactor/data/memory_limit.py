"""How much memory reading may take. It is counted beforehand: native code that cannot allocate ends the process."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cofactor.data.array_store import bytes_of, shown_bytes
from cofactor.errors import DataError

__all__ = ["UNLIMITED", "Limit", "available_memory", "needed_for", "short_of"]

_MEMORY = Path("/proc/meminfo")
_OWN = Path("/proc/self/statm")
_CONTROL = Path("/sys/fs/cgroup")
_CONTAINER = [  # limit, use, figures and the one of them that is reclaimable, in the second and the first version
    (_CONTROL / "memory.max", _CONTROL / "memory.current", _CONTROL / "memory.stat", "inactive_file"),
    (
        _CONTROL / "memory/memory.limit_in_bytes",
        _CONTROL / "memory/memory.usage_in_bytes",
        _CONTROL / "memory/memory.stat",
        "total_inactive_file",
    ),
]
_LITTLE = 16_000_000  # bytes
_SORTING = 100  # bytes that a row takes while the table is built, beside its columns as they are read and converted


@dataclass(frozen=True)
class Limit:
    """The bytes of memory that reading may take; None where the system does not say how much there is.

    Examples
    --------
    >>> Limit.of("1GB").check(2 * 10**9, "a.csv", lambda amount: f"give memory={amount!r}")
    Traceback (most recent call last):
    cofactor.errors.DataError: a.csv takes about 2 GB of memory or more, and reading may take 1 GB: give memory='2GB'
    """

    size: int | None
    given: bool = True

    @classmethod
    def of(cls, memory: str | int | None) -> "Limit":
        """Return a given amount, such as ``"4GB"``, or by default half of the memory that is available.

        Raises
        ------
        SettingError
            If it is not an amount.
        """
        if memory is not None:
            return cls(bytes_of(memory))
        there = available_memory()
        return cls(None if there is None else there // 2, given=False)

    def exceeded_by(self, needed: int) -> bool:
        """Whether something takes more than this."""
        return self.size is not None and needed > self.size

    def share(self, part: int, most: int) -> int:
        """Return ``most`` bytes, or the ``part``-th part of the limit where that is less."""
        return most if self.size is None else max(min(most, self.size // part), 1)

    def check(self, needed: int, place: object, remedy: Callable[[str], str]) -> None:
        """Refuse what takes more than this.

        Parameters
        ----------
        needed : int
            How many bytes it takes.
        place : object
            What is read, for the error.
        remedy : callable
            Says what to do, given the amount that would be enough.

        Raises
        ------
        DataError
            With the amount needed, the limit, and the remedy.
        """
        if self.size is not None and needed > self.size:
            there = "" if self.given else ", half of what is available"
            enough = f"{-(-needed // 10**9)}GB" if needed > 10**9 else f"{-(-needed // 10**6)}MB"
            raise DataError(
                f"{place} takes about {shown_bytes(needed)} of memory or more, and reading may take "
                f"{shown_bytes(self.size)}{there}: {remedy(enough)}"
            )


UNLIMITED = Limit(None)


def needed_for(columns: int, rows: int) -> int:
    """Return the bytes that reading a table takes at its highest: its columns as read and as converted, and sorting."""
    return 2 * columns + _SORTING * rows


def available_memory() -> int | None:
    """Return the bytes of memory that may be used, by a container's and the process's limit too; None if unknown."""
    lines = _figures(_MEMORY)
    there = [int(lines["MemAvailable:"]) * 1024] if "MemAvailable:" in lines else []
    for limit, used, figures, reclaimable in _CONTAINER:
        if limit.exists() and (most := limit.read_text().strip()) != "max":
            kept = _figures(figures).get(reclaimable, "0")  # what files are cached in, which gives way
            there.append(max(int(most) - int(used.read_text()) + int(kept), 0))
    return min([*there, *_address_space()], default=None)


def short_of(needed: int) -> int | None:
    """Return the bytes of memory that may be used, if they are fewer than needed; None if they are enough.

    The system is not asked for little, which loading a small model would notice.
    """
    there = available_memory() if needed > _LITTLE else None
    return there if there is not None and needed > there else None


def _address_space() -> list[int]:
    """Return what is left of the address space where its size is limited, as by ``ulimit -v``."""
    try:
        import resource  # not on Windows
    except ImportError:
        return []
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY or not _OWN.exists():
        return []
    return [max(most - int(_OWN.read_text().split()[0]) * resource.getpagesize(), 0)]


def _figures(file: Path) -> dict[str, str]:
    """Return the second word of each line by the first."""
    if not file.exists():
        return {}
    return {name: value for name, value, *_ in map(str.split, file.read_text().splitlines())}
