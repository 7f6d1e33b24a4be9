"""The command ``cofactor compile``: compile the kernels now, so that nothing is compiled when people wait."""

import contextlib
import dataclasses
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cofactor.apps import show
from cofactor.apps.options import Json
from cofactor.errors import CofactorError

if TYPE_CHECKING:
    from cofactor.data.interactions import Interactions
    from cofactor.model.factors import Factors

__all__ = ["compile"]

BRIEF = {"rank": 4, "epochs": 1, "sweeps": 12, "burn_in": 2, "n_samples": 2}
"""Settings with which a solver learns a small table in a moment; kernels are the same as with others."""

VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("als", {}),
    ("implicit-als", {}),
    ("implicit-als", {"method": "cg", "half_life": "30d", "recency": 0.9, "trend": "3d"}),
    ("implicit-als", {"method": "block", "item_features": ("genres", "year")}),
    ("bpr", {}),
    ("bpr", {"negatives": 1}),
    ("logistic", {}),
    ("nmf", {}),
    ("nmf", {"goal": "ranking"}),
    ("bayesian", {}),
    ("bayesian", {"svdpp": True, "likelihood": "probit"}),
)
"""Solvers and settings that between them use every kernel of training and of lists."""


def compile(json_output: Json = False) -> None:
    """Compile ahead whatever fit, refit, serve and recommend need: for images, and for folders that become read-only.

    The code is written where NUMBA_CACHE_DIR says, else beside the installed package, else to the user's cache. It is
    for this processor; NUMBA_CPU_NAME and NUMBA_CPU_FEATURES name another one, here and wherever it is to run.
    """
    from cofactor.kernels.machine_code import MachineCode

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the models are small on purpose
        data = _table()
        with show.progress_bar("compiling", hidden=json_output) as bar:
            for number, (name, settings) in enumerate(VARIANTS):
                bar(number / len(VARIANTS), name)
                _use(_trained(name, settings, data))
    if MachineCode.refused:
        raise CofactorError(
            f"compiled code cannot be kept on disk ({MachineCode.refused}): "
            "let NUMBA_CACHE_DIR name a folder that can be written to, now and when cofactor runs"
        )
    folders = sorted({str(file.parent) for file in MachineCode.kept})
    if json_output:
        show.as_json({"compiled": len(MachineCode.kept), "folders": folders})
    else:
        show.say(f"compiled {len(MachineCode.kept)} kernels" + (f" into {', '.join(folders)}" if folders else ""))


def _table() -> "Interactions":
    """Return a small table with everything that a solver may learn from: stars, times, attributes of items."""
    import polars as pl

    from cofactor.data.catalog import load_dataset

    made = load_dataset("synthetic:60x40x900")
    row = pl.int_range(made.n_items)
    return made.with_items(made.item_table.with_columns(genres=pl.format("Drama|{}", row % 5), year=1950 + row))


def _trained(name: str, settings: dict[str, Any], data: "Interactions") -> "Factors":
    from cofactor.solvers import solver_class

    kind = solver_class(name)
    fields = {field.name for field in dataclasses.fields(kind)}
    trained: Factors = kind(**{field: value for field, value in BRIEF.items() if field in fields}, **settings).fit(data)
    return trained


def _use(model: "Factors") -> None:
    """Do all with a model that needs compiled code: lists by every rule, new users and items, reasons."""
    from cofactor.lists import AtMost, Calibrate, Diversify, Pin, Promote
    from cofactor.model.factors import exact_of

    _ = exact_of(model).index  # once it is loaded, small tables are scanned, too
    user, item = model.users.ids[0], model.items.ids[0]
    rules: list[Any] = [AtMost(1, per="year"), Calibrate("genres"), Pin({1: item}), Promote([item], 0.2)]
    rules += [Diversify("genres", method=method) for method in ("msd", "mmr", "dpp")]
    for rule in rules:
        model.recommend([user], n=5, rerank=[rule])
    uses: tuple[Callable[[], object], ...] = (
        lambda: model.recommend(model.users.ids, n=5),
        lambda: model.recommend_users([item], n=5),
        lambda: model.place({100_000: {item: 4.0}}).recommend([100_000], n=5),
        lambda: model.fold_in_items({100_000: {user: 4.0}}),
        lambda: model.explain(user, item),
        lambda: model.recommend([user], n=5, by="cautious"),
        lambda: model.score([user], [item], spread=True),
        lambda: model.interval([user], [item]),
    )
    for use in uses:
        with contextlib.suppress(CofactorError):  # not every model can do everything
            use()
