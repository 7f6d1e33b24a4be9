"""Every error and warning that cofactor raises on purpose; its text names the place and the remedy."""

import difflib
from collections.abc import Iterable

__all__ = [
    "ClusterError",
    "CofactorError",
    "CollapseWarning",
    "DataError",
    "DownloadError",
    "GoalWarning",
    "MissingExtraError",
    "ModelFileError",
    "SettingError",
    "UnknownIdError",
    "first_line",
    "missing_extra",
    "nearest",
]


class CofactorError(Exception):
    """The parent of every error below: catch it to catch them all."""


class ClusterError(CofactorError, RuntimeError):
    """A Spark cluster, or the Java under it, that is missing, cannot be reached, or broke down."""


class CollapseWarning(UserWarning):
    """A fit whose vectors hold next to nothing, so that everybody gets nearly the same list."""


class DataError(CofactorError, ValueError):
    """Ratings that cannot be used as they are: a bad row, a missing column, a value that is not a number."""


class DownloadError(CofactorError, OSError):
    """A named data set that could not be fetched or did not verify."""


class GoalWarning(UserWarning):
    """A model is used for what it was not trained for."""


class MissingExtraError(CofactorError, ImportError):
    """An optional dependency that is not installed."""


class ModelFileError(CofactorError, ValueError):
    """A file that is not a whole and sound cofactor model."""


class SettingError(CofactorError, ValueError):
    """A setting outside of what it may be."""


class UnknownIdError(CofactorError, KeyError):
    """A user or an item that the model has never met."""

    def __str__(self) -> str:  # KeyError would show the repr of the text
        return str(self.args[0]) if self.args else ""


def first_line(error: BaseException) -> str:
    """Return the first line of another library's error, for one of ours; its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def missing_extra(package: str, extra: str) -> MissingExtraError:
    """Return the error that says which ``pip install`` brings a missing package."""
    return MissingExtraError(f"{package} is not installed: pip install 'cofactor[{extra}]'")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the question whether somebody meant another name, if one is near; it goes before the list of all."""
    close = difflib.get_close_matches(str(name).lower(), list(known), n=1)
    return f"did you mean {close[0]}? Or " if close else ""
