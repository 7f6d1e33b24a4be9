"""Write a small file of every stored format with the code as it is now, and beside each the answers it must give.

``python tools/stored_files.py tests/stored/format-N`` writes the files into a new folder, named after the version of
the model file's format; write one whenever a format changes. They are kept for ever: tests/test_stored_files.py opens
all of them with today's code and compares the answers.
"""

import json
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import polars as pl

import cofactor as cf
from cofactor.errors import CofactorError
from cofactor.solvers import solver_class

N_USERS, N_ITEMS = 12, 9
ASKED_USERS = ["u1", "u5", "u12"]
ASKED_PAIRS = [("u1", 1), ("u2", 7), ("u12", 9)]
NEW_USER = {1: 5.0, 4: 2.0, 8: 4.0}

TRAINING: Mapping[str, Mapping[str, Any]] = {
    "epochs": {"epochs": 4},
    "keras": {"epochs": 4, "batch_size": 16, "learning_rate": 0.05},
    "bayesian": {"sweeps": 12, "burn_in": 4, "n_samples": 4},
    "none": {},
}
MODELS: Mapping[str, tuple[str, str, str, Mapping[str, Any]]] = {
    "als": ("als", "ratings", "epochs", {"regularization": 2.1, "bias_regularization": 0.97, "nu": 0.4}),
    "implicit-als": (
        "implicit-als",
        "counts",
        "epochs",
        {"regularization": 0.03, "unobserved_weight": 0.1, "nu": 1.0},
    ),
    "implicit-als-timed": (
        "implicit-als",
        "ratings",
        "epochs",
        {"values": "alike", "half_life": "30d", "recency": 0.8, "trend": "7d", "trend_weight": 3.0},
    ),
    "implicit-als-described": (
        "implicit-als",
        "ratings",
        "epochs",
        {"values": "alike", "item_features": ("genres", "year")},
    ),
    "nmf": ("nmf", "ratings", "epochs", {"regularization": 0.8, "nu": 0.5}),
    "nmf-implicit": ("nmf", "counts", "epochs", {"goal": "ranking"}),
    "bpr": ("bpr", "choices", "epochs", {"learning_rate": 0.07, "regularization": 0.05, "negatives": 4}),
    "logistic": ("logistic", "choices", "epochs", {}),
    "svd": ("svd", "choices", "none", {}),
    "popularity": ("popularity", "choices", "none", {}),
    "bias": ("bias", "ratings", "epochs", {}),
    "bayesian": ("bayesian", "ratings", "bayesian", {}),
    "bayesian-implicit": ("bayesian", "ratings", "bayesian", {"svdpp": True}),
    "bayesian-probit": ("bayesian", "ratings", "bayesian", {"likelihood": "probit"}),
    "keras": ("keras", "ratings", "keras", {}),
    "keras-softmax": ("keras", "choices", "keras", {"loss": "softmax"}),
}
"""Of each model: the solver, the table, the settings of its training, and more settings.

Those of CHECKPOINTS and STUDIES are all given, so that defaults may change.
"""

SINCE_3 = ("implicit-als-timed", "implicit-als-described")
"""Models that formats before 3 could not hold."""

CHECKPOINTS = ("als", "implicit-als", "nmf", "bpr", "bayesian")
STUDIES: Mapping[str, tuple[str, Mapping[str, tuple[float, float]]]] = {
    "als": ("rmse", {"regularization": (0.1, 10.0)}),
    "nmf": ("rmse", {"regularization": (0.1, 10.0)}),
}
"""Of each search: the metric and the space."""


class _Interrupted(Exception):
    """Ends a fit in the middle, as a killed process would."""


def tables() -> dict[str, Any]:
    """Return the made-up data: ratings with times and titles, counts, and choices without values."""
    random = np.random.default_rng(14)
    pairs = random.permutation(N_USERS * N_ITEMS)[:62]
    users, items = pairs // N_ITEMS + 1, pairs % N_ITEMS + 1
    frame = pl.DataFrame(
        {
            "user": [f"u{user}" for user in users],
            "item": items,
            "value": 1.0 + (users + items + random.integers(0, 2, len(pairs))) % 5,
            "count": random.choice([1.0, 2.0, 3.0, 7.0, 12.0], len(pairs)),
            "time": 1_700_000_000 + 86_400 * random.permutation(len(pairs)),
        }
    )
    genres = ["Drama|War", "Comedy"]
    titles = pl.DataFrame(
        {
            "item": np.arange(1, N_ITEMS + 1),
            "title": [f"Film {item} é" if item > 1 else None for item in range(1, N_ITEMS + 1)],
            "genres": [genres[item % 2] for item in range(1, N_ITEMS + 1)],
            "year": [1990 + item % 5 for item in range(1, N_ITEMS + 1)],
        }
    )
    return {
        "ratings": cf.from_frame(frame, value="value", time="time", items=titles, name="made-up"),
        "counts": cf.from_frame(frame, value="count", time=None, name="made-up counts"),
        "choices": cf.from_frame(frame.select("user", "item"), value=None, name="made-up choices"),
    }


def model_answers(model: Any) -> dict[str, Any]:
    """Return what a model says of a few users: lists, scores, similar items, a new user's vector and list."""
    folded = _or_refused(lambda: model.fold_in({"new": NEW_USER}))
    return {
        "lists": _rows(model.recommend(ASKED_USERS, n=3), "user", "item", "score"),
        "scores": [_rounded(x) for x in model.score(*map(list, zip(*ASKED_PAIRS, strict=True)))],
        "similar": _rows(model.similar_items(5, n=3), "item") if model.rank else None,
        "titles": _rows(model.recommend(ASKED_USERS[:1], n=3), "title") if model.metadata.titles is not None else None,
        "new_vector": folded and [_rounded(x) for x in folded.user_vectors[folded.users.row("new")]],
        "new_list": folded and _rows(folded.recommend(["new"], n=3), "user", "item", "score"),
    }


def table_answers(table: Any) -> dict[str, Any]:
    """Return what a table of interactions holds."""
    return {"rows": [[_rounded(cell) for cell in row] for row in table.to_frame().rows()], "name": table.name}


def solver_of(name: str) -> Any:
    """Return the solver of one of the MODELS."""
    kind, _, training, settings = MODELS[name]
    rank = {} if kind in ("popularity", "bias") else {"rank": 3}
    return solver_class(kind)(**rank, **TRAINING[training], **settings)


def write_models(folder: Path) -> None:
    """Write a model file of every solver."""
    data = tables()
    for name in MODELS:
        model = solver_of(name).fit(data[MODELS[name][1]])
        model.save(folder / f"{name}.safetensors")
        _tell(folder / f"{name}.json", model_answers(cf.load(folder / f"{name}.safetensors")))


def write_spark_models(folder: Path) -> None:
    """Write the model folders of SparkALS."""
    data = tables()
    for name, table, goal in (("explicit", "ratings", "rating"), ("implicit", "counts", "ranking")):
        solver = solver_class("spark-als")(rank=3, epochs=3, partitions=1, goal=goal)
        solver.fit_named(data[table], folder / name)
        _tell(folder / f"{name}.json", model_answers(cf.load(folder / name)))


def write_interactions(folder: Path) -> None:
    """Write a folder of interactions."""
    ratings = tables()["ratings"]
    ratings.write(folder / "ratings")
    _tell(folder / "ratings.json", table_answers(ratings))


def write_cache(folder: Path) -> None:
    """Write the arrays that `open_parquet` keeps in its cache."""
    ratings = tables()["ratings"]
    source, cache = folder / "source.parquet", folder / "cache"
    ratings.to_frame().select("user", "item", "value", time="timestamp").write_parquet(source)
    opened = cf.open_parquet(source, time="time", memory="16MB", cache=cache, name="made-up")
    _tell(folder / "arrays.json", table_answers(opened))
    del opened
    manifest = next(cache.rglob("interactions.json"))
    manifest.write_text(
        manifest.read_text(encoding="utf-8").replace(str(source.absolute()), source.name), encoding="utf-8"
    )
    manifest.parent.rename(folder / "arrays")
    for left in (*(folder / "cache").rglob("*"), source):
        if left.is_file():
            left.unlink()
    for left in sorted((folder / "cache").rglob("*"), reverse=True):
        left.rmdir()
    cache.rmdir()


def write_checkpoints(folder: Path) -> None:
    """Write checkpoints of fits that were interrupted after two epochs; the answers are those of the whole fit."""
    data = tables()
    for name in CHECKPOINTS:
        table, path = data[MODELS[name][1]], folder / f"{name}.safetensors"
        try:
            solver_of(name).fit(table, callback=_interrupt, checkpoint=path)
        except _Interrupted:
            kept = path.read_bytes()
        _tell(folder / f"{name}.json", model_answers(solver_of(name).fit(table, checkpoint=path)))
        path.write_bytes(kept)


def write_studies(folder: Path) -> None:
    """Write the studies of searches."""
    for name in STUDIES:
        _tell(folder / f"{name}.json", study_answers(searched(name, folder / f"{name}.study", trials=3)))
        (folder / f".{name}.study.held").unlink(missing_ok=True)


def searched(name: str, study: Path, trials: int) -> Any:
    """Search the settings of one of the STUDIES, or go on with what a file holds."""
    from cofactor.evaluation import tune

    metric, space = STUDIES[name]
    table = tables()[MODELS[name][1]]
    return tune(solver_of(name), table, metric=metric, trials=trials, space=space, folds=1, study=study)


def study_answers(found: Any) -> dict[str, Any]:
    """Return what a search found."""
    trials = found.trials_frame()
    return {
        "best": [_rounded(getattr(found.solver, name)) for name in ("rank", "epochs", "regularization")],
        "value": _rounded(found.value),
        "trials": [[_rounded(cell) for cell in row] for row in trials.select("state", "value").rows()],
    }


def write_ratings_store(folder: Path) -> None:
    """Write the ratings store of the web service."""
    from cofactor.apps.web.store import RatingsStore

    store = RatingsStore(f"sqlite:///{folder / 'ratings.db'}")
    store.write("u1", {"1": 5.0, "2": 1.0})
    store.write("new", {"3": 4.5})
    store.write("u1", {"2": None})
    _tell(folder / "ratings.json", store_answers(store))
    store.close()


def store_answers(store: Any) -> dict[str, Any]:
    """Return what a ratings store holds."""
    changes = store.since(0)
    return {"revision": changes.revision, "rows": [list(row) for row in changes.rows]}


FORMATS: Mapping[str, Callable[[Path], None]] = {
    "models": write_models,
    "model-folders": write_spark_models,
    "interactions": write_interactions,
    "cache": write_cache,
    "checkpoints": write_checkpoints,
    "studies": write_studies,
    "ratings-stores": write_ratings_store,
}


def main(folder: Path) -> None:
    """Write all of them."""
    warnings.simplefilter("ignore", cf.GoalWarning)
    for name, write in FORMATS.items():
        (folder / name).mkdir(parents=True)
        write(folder / name)
    for left in (*folder.rglob("*.crc"), *folder.rglob("_SUCCESS"), *folder.rglob("lock")):
        left.unlink()


def _interrupt(epoch: Any) -> None:
    if epoch.number == 2:
        raise _Interrupted


def _or_refused(work: Callable[[], Any]) -> Any:
    """Return None where a model says that it cannot do it."""
    try:
        return work()
    except CofactorError:
        return None


def _rows(frame: pl.DataFrame, *columns: str) -> list[list[Any]]:
    return [[_rounded(cell) for cell in row] for row in frame.select(columns).rows()]


def _rounded(cell: Any) -> Any:
    return round(float(cell), 4) if isinstance(cell, float | np.floating) else cell


def _tell(path: Path, answers: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(answers, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
