"""The trials of a search, stored in an Optuna study on disk or in memory; the only file that imports optuna."""

import contextlib
import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from cofactor.data.arguments import path_of
from cofactor.errors import ModelFileError, SettingError, missing_extra
from cofactor.evaluation.search_space import Choices, Space
from cofactor.files import checked_version, replacing
from cofactor.gate import ordinary, read_bytes

try:
    import optuna
    from optuna.storages import InMemoryStorage, JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.trial import TrialState
except ImportError as error:
    raise missing_extra("optuna", "tune") from error

__all__ = ["STATES", "Stopped", "begin", "best_value", "close", "finished", "importances", "is_of", "judge", "opened"]

Stopped = optuna.TrialPruned
"""Raised to stop a trial that is not promising."""

STATES: Mapping[Any, str] = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
"""How a trial can end."""

FORMAT_VERSION = 2
_RENAMED_SINCE_1 = {
    b'"unseen_weight"': b'"unobserved_weight"',
    b'"kept"': b'"n_samples"',
    b'"feedback":"\'explicit\'"': b'"goal":"\'rating\'"',
    b'"feedback":"\'implicit\'"': b'"goal":"\'ranking\'"',
}
_NAME = "cofactor"
_BEGINS = b'{"op_code"'
_MOST_BYTES, _MOST_VALUES = 100_000_000, 4_000_000
_COMPLETE_FIRST = 5
_RANDOM_FIRST = 10


@contextlib.contextmanager
def opened(
    path: str | os.PathLike[str] | None,
    search: Mapping[str, Any],
    *,
    maximize: bool,
    warm_up: int,
    solver: Callable[[dict[str, Any]], Any],
    defaults: Mapping[str, Any],
) -> Iterator[Any]:
    """Open the study of a search, made anew where there is none, and keep others out of its file meanwhile.

    The file is Optuna's journal: a line of JSON for each thing that happens, flushed to disk. A database would bring
    SQLAlchemy and migrations for a few dozen rows, and a journal survives being killed anywhere but for its last line,
    which is cut off.

    Parameters
    ----------
    path : path or None
        None keeps the trials in memory.
    search : mapping
        What tells this search from others, as JSON can hold it.
    maximize : bool
        Whether more of the metric is better.
    warm_up : int
        The first epoch at which a trial may be stopped.
    solver : callable
        Makes a solver of a trial's settings, and raises where they are none.
    defaults : mapping of str to value
        The first trial's settings.

    Raises
    ------
    SettingError
        If the file holds trials of another search, or another process has it open.
    ModelFileError
        If it is not a study, or a newer version of cofactor wrote it.
    """
    path = None if path is None else path_of(path, "study")
    direction = "maximize" if maximize else "minimize"
    pruner = optuna.pruners.MedianPruner(_COMPLETE_FIRST, warm_up, n_min_trials=_COMPLETE_FIRST)
    _check_kind(path)
    with _quiet(), _held(path):
        with _reading(path):
            storage = InMemoryStorage() if path is None else _journal(Path(path))
            study = _study(storage, direction, pruner)
            _version(path, study)
            _check_study(study)
        wanted = json.loads(json.dumps(search))
        theirs = study.user_attrs.get("search", wanted)
        if theirs != wanted:
            if any(trial.state != TrialState.FAIL for trial in finished(study)):
                raise SettingError(_difference(path, theirs, wanted))
            optuna.delete_study(study_name=_NAME, storage=storage)  # all trials of that search failed
            study = _study(storage, direction, pruner)
        with _reading(path):
            if study.direction.name.lower() != direction:
                raise ValueError(f"it is to {study.direction.name.lower()} what this search is to {direction}")
            _check_trials(study, solver)
            _check_queue(study, defaults)
        study.set_user_attr("format_version", FORMAT_VERSION)
        study.set_user_attr("search", wanted)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)  # its process was killed; the settings are tried again
        yield study


def is_of(path: str | os.PathLike[str] | None, search: Mapping[str, Any]) -> bool:
    """Return whether there is a study of this search in a file; what is no study is not, and `opened` says so."""
    path = None if path is None else path_of(path, "study")
    if path is None or not path.is_file():
        return False
    _check_kind(path)
    content = read_bytes(Path(path), _MOST_BYTES, ModelFileError, "remove it to start anew")
    for old, new in _RENAMED_SINCE_1.items():
        content = content.replace(old, new)
    wanted = json.loads(json.dumps(search))
    with contextlib.suppress(ValueError, AttributeError):
        for line in content.splitlines():
            if b'"search"' in line:
                return bool(json.loads(line).get("user_attr", {}).get("search") == wanted)
    return False


def _study(storage: Any, direction: str, pruner: Any) -> Any:
    return optuna.create_study(
        storage=storage, study_name=_NAME, direction=direction, pruner=pruner, load_if_exists=True
    )


def _version(path: Any, study: Any) -> None:
    version = study.user_attrs.get("format_version", 1 if "search" in study.user_attrs else FORMAT_VERSION)
    checked_version(version, FORMAT_VERSION, path, ModelFileError, remedy="remove it to start again")


def _difference(path: Any, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    name = next(name for name in {**ours, **theirs} if theirs.get(name) != ours.get(name))
    told = f"{name} {theirs.get(name)}, not {ours.get(name)}"
    what = f"other {name}" if name in ("data", "settings", "space") else told
    return f"{path} is the study of another search ({what}): name another file, or remove it to start anew"


@contextlib.contextmanager
def _held(path: str | os.PathLike[str] | None) -> Iterator[None]:
    if path is None:
        yield
        return
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(path.with_name(f".{path.name}.held"), timeout=0):
            path.with_name(f"{path.name}.lock").unlink(missing_ok=True)  # Optuna's, of a process that was killed
            yield
    except filelock.Timeout:
        raise SettingError(f"{path} is in use by another search: wait for it, or name another file") from None


def _check_kind(path: str | os.PathLike[str] | None) -> None:
    """Refuse a file that does not start like a study, before a lock file is put beside it."""
    if path is None or not Path(path).exists():
        return
    with ordinary(Path(path), ModelFileError, "name another file") as file:
        begun = file.read(len(_BEGINS))
    if not _BEGINS.startswith(begun):
        raise ModelFileError(f"{path} is not a study: name another file")


def _journal(path: Path) -> Any:
    if path.exists():
        _mend(path)
        _upgrade(path)
    return JournalStorage(JournalFileBackend(str(path)))


@contextlib.contextmanager
def _reading(path: str | os.PathLike[str] | None) -> Iterator[None]:
    """Turn whatever Optuna makes of a journal that is none into one error: it asserts what it reads."""
    try:
        yield
    except (OSError, SettingError, ModelFileError):
        raise
    except Exception as error:
        told = f"{type(error).__name__}: {error}"[:200]
        raise ModelFileError(f"{path} is not a whole study ({told}): remove it to start anew") from error


def _check_study(study: Any) -> None:
    """Check what Optuna believes of a journal, and would trip over in the middle of the search."""
    if len(study.directions) != 1:
        raise ValueError(f"it has {len(study.directions)} directions")
    if not isinstance(study.user_attrs.get("search", {}), dict):
        raise TypeError("the description of its search is none")
    for trial in study.get_trials(deepcopy=False):
        kept = {"system_attrs": trial.system_attrs, "user_attrs": trial.user_attrs, "params": trial.params}
        for what, found in kept.items():
            if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
                raise TypeError(f"the {what} of trial {trial.number} have no names")
        if not all(type(epoch) is int and 0 <= epoch < 2**31 for epoch in trial.intermediate_values):
            raise ValueError(f"trial {trial.number} has values at what is no epoch")
        _check_numbers([trial.params, trial.user_attrs])


def _check_numbers(value: Any) -> None:
    """Refuse integers that no table can hold."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            _check_numbers(one)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("a number has more than 64 bits")


def _check_trials(study: Any, solver: Callable[[dict[str, Any]], Any]) -> None:
    """Check what is kept of each trial, as Optuna keeps anything: its settings, its value, its time, its error."""
    for trial in finished(study):
        kept, value = trial.user_attrs, trial.value
        with contextlib.suppress(SettingError):
            solver(kept["settings"])
        seconds = kept["seconds"]
        if (
            type(seconds) not in (int, float)
            or not math.isfinite(seconds)
            or not isinstance(kept.get("error", ""), str)
        ):
            raise ValueError(f"trial {trial.number} has no time, or no text as its error")
        if (trial.state == TrialState.COMPLETE or value is not None) and not math.isfinite(value):
            raise ValueError(f"trial {trial.number} has the value {value}")


def _check_queue(study: Any, defaults: Mapping[str, Any]) -> None:
    """Check what is to be tried next, if a search was killed before its first trial: it begins with the defaults."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        if trial.system_attrs.get("fixed_params") != json.loads(json.dumps(dict(defaults))):
            raise ValueError(f"trial {trial.number} is to have other settings than those that a search begins with")


def _check_lines(path: Path, content: bytes) -> None:
    """Refuse what no search writes, before it is made into objects, which take much more memory than its bytes."""
    values = sum(content.count(mark) for mark in (b",", b"[", b"{"))
    if values > _MOST_VALUES:
        raise ModelFileError(f"{path} holds more than the {_MOST_VALUES:,} values of a study: remove it to start anew")


def _mend(path: Path) -> None:
    """Cut off a last line that was not completely written."""
    content = read_bytes(path, _MOST_BYTES, ModelFileError, "remove it to start anew")
    _check_lines(path, content)
    if content and not content.endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)


def _upgrade(path: Path) -> None:
    """Rewrite a study of version 1, which has no version in it, with the names that settings have now."""
    content = path.read_bytes()
    if b'"format_version"' in content or not any(name in content for name in _RENAMED_SINCE_1):
        return
    for old, new in _RENAMED_SINCE_1.items():
        content = content.replace(old, new)
    with replacing(path) as beside:
        beside.write_bytes(content)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from writing a line for each trial."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def finished(study: Any) -> list[Any]:
    """Return the trials that ended by themselves, in order, without those whose process was killed."""
    trials = study.get_trials(deepcopy=False, states=tuple(STATES))
    return [trial for trial in trials if trial.state != TrialState.FAIL or "error" in trial.user_attrs]


def begin(study: Any, space: Space, defaults: Mapping[str, Any], seed: int) -> tuple[Any, dict[str, Any]]:
    """Begin the next trial; return it with its suggested settings.

    Everything random in the n-th trial depends on the seed and n alone, so that a search that was killed continues with
    the same settings.

    Parameters
    ----------
    study : optuna.Study
    space : mapping of str to Range or Choices
    defaults : mapping of str to value
        The first trial's settings.
    seed : int
    """
    number = len(finished(study))
    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    study.sampler = optuna.samplers.TPESampler(
        n_startup_trials=_RANDOM_FIRST, seed=own, multivariate=True, constant_liar=False
    )
    if number == 0 and defaults and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.enqueue_trial(dict(defaults))
    trial = study.ask()
    return trial, {name: _suggested(trial, name, given) for name, given in space.items()}


def _suggested(trial: Any, name: str, given: Any) -> Any:
    if isinstance(given, Choices):
        return trial.suggest_categorical(name, list(given.values))
    if given.whole:
        return trial.suggest_int(name, int(given.low), int(given.high), log=given.log)
    return trial.suggest_float(name, given.low, given.high, log=given.log)


def judge(trial: Any, *, more_to_come: Callable[[int], bool]) -> Callable[[int, float], None]:
    """Return a function that reports an epoch's value, and raises `Stopped` if the trial is not worth continuing."""

    def tell(epoch: int, value: float) -> None:
        trial.report(value, epoch)
        if more_to_come(epoch) and trial.should_prune():
            raise Stopped

    return tell


def close(study: Any, trial: Any, settings: Mapping[str, Any], result: float | str | None, seconds: float) -> None:
    """End a trial with its value, the text of its error, or None if it was stopped."""
    for name, what in (("settings", dict(settings)), ("seconds", round(seconds, 3))):
        trial.set_user_attr(name, what)
    if isinstance(result, str):
        trial.set_user_attr("error", result)
        study.tell(trial, state=TrialState.FAIL)
    elif result is None:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, result)


def best_value(study: Any) -> float | None:
    """Return the best value so far, or None if no trial was completed."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return study.best_value if complete else None


def importances(study: Any) -> dict[str, float]:
    """Return how important each searched setting is for a trial to be among the best; they add up to 1.

    By PED-ANOVA, which needs no other package. Empty if fewer than four trials were completed.
    """
    if len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) < 4:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}
