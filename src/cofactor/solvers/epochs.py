"""The training loop that solvers share: epochs, metrics, early stopping, checkpoints."""

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from cofactor.data.arguments import path_of
from cofactor.data.array_store import MEMORY, ArrayStore, copied
from cofactor.data.interactions import Interactions
from cofactor.errors import ModelFileError, SettingError
from cofactor.files import checked_version, replacing
from cofactor.model.cards import UNSOUND, history_from, reason_of
from cofactor.model.factors import Factors
from cofactor.model.tensors import TensorFile, opened_tensors, write_tensors
from cofactor.solvers.base import Callback, Epoch, unset_extras

__all__ = ["Arrays", "Checkpoint", "History", "Progress", "run_epochs"]

Arrays: TypeAlias = Mapping[str, np.ndarray]
History: TypeAlias = Mapping[str, tuple[float, ...]]
Step: TypeAlias = Callable[[int, Arrays], tuple[Arrays, Mapping[str, float]]]
"""From an epoch's number (from 0) and its arrays to the next arrays and the epoch's figures."""

FORMAT_VERSION = 2
_REMEDY = "remove it to start again"
_NAMES_OF_1 = {"unobserved_weight": "unseen_weight", "n_samples": "kept", "svdpp": "implicit", "goal": "feedback"}
_GOALS_OF_1 = {"rating": "explicit", "ranking": "implicit"}
_NEW_SINCE_1 = {"values"}
"""Settings by the names that they had in version 1, and those it had not, for the fingerprints of its checkpoints."""


@dataclass(frozen=True)
class Progress:
    """State of a training: the arrays, the metrics of each epoch, and the arrays of the best epoch."""

    arrays: Arrays
    history: History = field(default_factory=dict)
    best: Arrays | None = None
    best_epoch: int = -1

    @property
    def epochs(self) -> int:
        """How many epochs are done."""
        return max((len(values) for values in self.history.values()), default=0)

    def waited(self, patience: int | None) -> bool:
        """Return whether the best epoch was ``patience`` epochs ago."""
        return patience is not None and self.best is not None and self.epochs - 1 - self.best_epoch >= patience

    def after(
        self, arrays: Arrays, figures: Mapping[str, float], watch: str | None, store: ArrayStore = MEMORY
    ) -> "Progress":
        """Return the progress one epoch later; ``watch`` names the figure whose least value is the best."""
        history = {name: (*self.history.get(name, ()), float(value)) for name, value in figures.items()}
        if watch is None:
            return Progress(arrays, history)
        if history[watch][-1] == min(history[watch]) and self.history.get(watch, ()).count(history[watch][-1]) == 0:
            kept = {name: copied(array, store) for name, array in arrays.items()}  # a step may write to its arrays
            return Progress(arrays, history, kept, len(history[watch]) - 1)
        return Progress(arrays, history, self.best, self.best_epoch)


class Checkpoint:
    """A file with the state of a training, from which an interrupted run continues.

    Parameters
    ----------
    path : path or None
        The file; None keeps nothing.
    solver : solver
        Its settings must be those of the file.
    train : Interactions
        Its entries must be those of the file's training; its store is where the arrays of the training lie.
    """

    def __init__(self, path: str | os.PathLike[str] | None, solver: Any, train: Interactions) -> None:
        self.path, self.array_store = None if path is None else path_of(path, "checkpoint"), train.array_store
        self._solver, self._train = solver, train

    @functools.cached_property
    def _fingerprint(self) -> str:
        return _fingerprint(self._solver, self._train, self._version)

    @functools.cached_property
    def _version(self) -> int:
        """Format version of the file; a training that continues keeps it."""
        if self.path is None or not self.path.exists():
            return FORMAT_VERSION
        return checked_version(
            self._card.get("format_version", 1),
            FORMAT_VERSION,
            self.path,
            ModelFileError,
            remedy=_REMEDY,
        )

    def unit(self, spread: float) -> float:
        """Return the unit that ratings are learnt in: their spread, or 1 for a training that version 1 began."""
        return spread if self._version > 1 else 1.0

    @functools.cached_property
    def _file(self) -> TensorFile:
        assert self.path is not None
        return opened_tensors(self.path, ModelFileError, _REMEDY)

    @functools.cached_property
    def _card(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._file.metadata["checkpoint"]))
        except (KeyError, RecursionError, TypeError, ValueError) as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> ModelFileError:
        return ModelFileError(f"{self.path} is not a whole checkpoint ({reason_of(error)}): {_REMEDY}")

    def load(self, fits: Callable[[Arrays], Arrays]) -> Progress | None:
        """Return the state that the file holds, or None if there is no file yet.

        Parameters
        ----------
        fits : callable
            Takes the file's arrays, which are mapped, and returns them as the training takes them; it raises
            ValueError where they are not of its names, types and shapes.

        Raises
        ------
        SettingError
            If the file belongs to another training.
        ModelFileError
            If it is not a whole checkpoint, or a newer version of cofactor wrote it.
        """
        if self.path is None or not self.path.exists():
            return None
        version, card, tensors = self._version, self._card, self._file.arrays
        try:
            history = history_from(card["history"])
            same = card["fingerprint"] == self._fingerprint
            same &= version > 1 or not getattr(self._solver, "count_offset", 0)  # its penalty was another then
            done, best_epoch = {len(values) for values in history.values()}, card["best_epoch"]
            if len(done) != 1 or type(best_epoch) is not int or not -1 <= best_epoch < max(done):
                raise ValueError("the figures of its epochs do not belong together")
            if same:
                self._file.check_sums(card)
                now, best = ({k[len(p) :]: v for k, v in tensors.items() if k.startswith(p)} for p in ("now.", "best."))
                if bool(best) != (best_epoch >= 0) or len(now) + len(best) != len(tensors):
                    raise ValueError("its arrays are not those of a training")
                kept = {name: copied(array, self.array_store) for name, array in fits(best).items()} if best else None
                return Progress(fits(now), history, kept, best_epoch)
        except UNSOUND as error:
            raise self._broken(error) from error
        raise SettingError(
            f"{self.path} is the checkpoint of another training (other settings, other data, or a version of "
            "cofactor that trained this solver in another way): remove it to start again, or name another file"
        )

    def save(self, progress: Progress) -> None:
        """Write the state atomically."""
        if self.path is None:
            return
        tensors = {f"now.{name}": array for name, array in progress.arrays.items()}
        tensors |= {f"best.{name}": array for name, array in (progress.best or {}).items()}
        history = {name: list(values) for name, values in progress.history.items()}
        card = {
            "format_version": self._version,
            "fingerprint": self._fingerprint,
            "history": history,
            "best_epoch": progress.best_epoch,
        }
        with replacing(self.path) as beside:
            write_tensors(beside, tensors, "checkpoint", card, allow_nan=True)


def run_epochs(
    start: Callable[[], Arrays],
    step: Step,
    *,
    epochs: int,
    checkpoint: Checkpoint,
    callback: Callback | None = None,
    watch: str | None = None,
    patience: int | None = None,
    model: Callable[[Arrays, History], Factors] | None = None,
) -> Progress:
    """Repeat a step; report and store each epoch.

    Parameters
    ----------
    start : callable
        Makes the arrays to begin with; not called where a checkpoint has some.
    step : callable
        From an epoch's number and arrays to the next arrays (it may write to those it gets) and the figures.
    epochs : int
        The most epochs.
    checkpoint : Checkpoint
        Its store is where copies of the arrays lie: the best epoch's, and those that are shown.
    callback : callable, optional
        Called with an `Epoch` after each.
    watch, patience : optional
        With both, stop when the figure has not fallen for so many epochs, and return the best epoch's arrays.
    model : callable, optional
        From the arrays and the figures so far to the model that they are, for whoever wants to see it between epochs.
    """
    watch = None if patience is None else watch
    progress = checkpoint.load(lambda arrays: _like(start(), arrays)) or Progress(start())
    while progress.epochs < epochs and not progress.waited(patience):
        number = progress.epochs
        arrays, figures = step(number, progress.arrays)
        progress = progress.after(arrays, figures, watch, checkpoint.array_store)
        checkpoint.save(progress)
        if callback is not None:
            shown = None if model is None else functools.partial(_shown, model, progress, checkpoint.array_store)
            callback(Epoch(number + 1, epochs, figures, shown))
    return progress if progress.best is None else dataclasses.replace(progress, arrays=progress.best)


def _like(own: Arrays, found: Arrays) -> Arrays:
    """Put arrays of a file into those that a training starts with, once they are known to fit.

    Kernels read and write these without asking where they end, and draw from distributions by their numbers.
    """
    if own.keys() != found.keys():
        raise ValueError(f"its arrays are {', '.join(found)}, not {', '.join(own)}")
    filled = {}
    for name, array in own.items():
        other = found[name]
        alike = other.shape == array.shape or other.size == array.size == 1  # files lose axes where there are none
        if other.dtype != array.dtype or not alike:
            raise ValueError(f"{name} is {other.dtype} of shape {other.shape}, not {array.dtype} of {array.shape}")
        if other.dtype.kind == "f" and np.isnan(other.min(initial=0)):
            raise ValueError(f"{name} holds what is no number")
        filled[name] = array if array.flags.writeable else array.copy()
        filled[name][...] = other.reshape(array.shape)
    return filled


def _shown(model: Callable[[Arrays, History], Factors], progress: Progress, store: ArrayStore) -> Factors:
    """Return the model so far, with copies of the arrays, since the next epoch may write to them."""
    return model({name: copied(array, store) for name, array in progress.arrays.items()}, progress.history)


def _fingerprint(solver: Any, train: Interactions, version: int = FORMAT_VERSION) -> str:
    """Hash what identifies a training: its settings, except the number of epochs, and its data."""
    digest = hashlib.blake2b(digest_size=16)
    left_out = {"epochs", *unset_extras(solver)}
    settings = {f.name: getattr(solver, f.name) for f in dataclasses.fields(solver) if f.name not in left_out}
    if version == 1:
        settings = {_NAMES_OF_1.get(name, name): value for name, value in settings.items() if name not in _NEW_SINCE_1}
        settings |= {"feedback": _GOALS_OF_1[settings["feedback"]]} if "feedback" in settings else {}
    digest.update(json.dumps([type(solver).__name__, settings, train.matrix.shape], default=_named).encode())
    for array in (train.matrix.indptr, train.matrix.indices, train.matrix.data):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _named(setting: Any) -> Any:
    """Describe an object, such as a Keras optimizer, by its class and configuration.

    Its address, and the name that Keras numbers, differ between processes.
    """
    own = getattr(setting, "get_config", None)
    if own is None:
        return str(setting)
    return [type(setting).__name__, {name: value for name, value in own().items() if name != "name"}]
