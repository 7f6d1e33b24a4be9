"""The command ``cofactor tune``: find the best settings on the training part, measure them on the test part."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer

from cofactor.apps import show
from cofactor.apps.fit import split as split_data
from cofactor.apps.options import DATA_OPTIONS, Data, Fraction, Horizon, How, Json, Seed, data_options, flag, taking
from cofactor.apps.outputs import check_folder, write_json, write_table
from cofactor.errors import SettingError

if TYPE_CHECKING:
    from cofactor.data.interactions import Interactions
    from cofactor.evaluation.report import Report
    from cofactor.evaluation.tuning import Split, Tuned

__all__ = ["tune"]

_SHOWN = 8


@taking(DATA_OPTIONS)
def tune(
    data: Data,
    *,
    solver: Annotated[str, typer.Option(help="Which solver.")] = "implicit-als",
    metric: Annotated[str, typer.Option(help="The metric to improve, such as ndcg@10, recall@20 or rmse.")] = "ndcg@10",
    trials: Annotated[int, typer.Option(help="How many settings to try, including those already in the study.")] = 30,
    timeout: Annotated[
        str | None, typer.Option(help="How long to search at most, such as 2m or 1h", show_default="no limit")
    ] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(help="All that is to be searched: rank=16:256, or loss=bpr,softmax; repeat for more."),
    ] = None,
    fix: Annotated[
        list[str] | None, typer.Option(help="A setting to keep fixed, such as rank=64; repeat for more.")
    ] = None,
    test_fraction: Fraction = 0.2,
    split: How = "random",
    horizon: Horizon = None,
    validation_split: Annotated[
        Literal["per-user", "random", "last", "time", "rolling"] | None,
        typer.Option(
            help="How to hold out validation parts of the training part",
            show_default="per-user; as --split where that is by date",
        ),
    ] = None,
    validation_fraction: Annotated[
        float, typer.Option(help="Share of the training part in each validation part.")
    ] = 0.1,
    folds: Annotated[
        int | None,
        typer.Option(
            help="How many validation parts; more are slower and more reliable", show_default="3; 1 for last and time"
        ),
    ] = None,
    seed: Seed = 0,
    study: Annotated[
        Path | None,
        typer.Option(help="File of the trials, to resume from.", show_default="study.log in the output folder"),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the trials, pictures and best settings.")
    ] = Path("tuning"),
    json_output: Json = False,
    **options: Any,
) -> None:
    """Find a solver's best settings on validation parts of the training data; measure them once on the test part."""
    check_folder(output)
    from cofactor.apps.sources import open_data
    from cofactor.evaluation.tuning import tune as search
    from cofactor.solvers import solver_class

    kind = solver_class(solver)
    tried, fixed = _ranges(kind, space or []), _fixed(kind, fix or [])
    given = data_options(options)
    ratings = open_data(data, progress=not json_output, notify=show.note, **given)
    within = _within(split, validation_split)
    rolling = horizon if split == "rolling" or within != "rolling" else None
    train, test = split_data(ratings, split, test_fraction, seed, rolling)
    kept = study or output / "study.log"
    try:
        with show.progress_bar(f"tuning {kind.__name__}", hidden=json_output) as bar:
            best = search(
                kind, train, metric=metric, trials=trials, timeout=timeout, space=tried, fixed=fixed, split=within,
                validation_fraction=validation_fraction, folds=folds, horizon=horizon if within == "rolling" else None,
                seed=seed, study=kept,
                done=lambda done: bar(done.done / done.planned, _progress(done)),
            )  # fmt: skip
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped: the same command resumes after the trials in {kept}") from None
    report = _tested(best, train, test)
    splitting = _splitting(split, test_fraction, rolling, seed, best.solver)
    words = [*_options_given(given), *splitting, "-o", "model.safetensors"]
    result = _result(best, report, best.command(data, *words), len(train))
    result["files"] = [str(path) for path in _written(best, result, output)]
    show.as_json(result) if json_output else _say(best, result, len(train))


def _within(split: str, asked: "Split | None") -> "Split":
    """Return how validation parts are held out: by date where the test part is, unless another way is asked for."""
    if asked is not None:
        return asked
    return "rolling" if split == "rolling" else "time" if split == "time" else "per-user"


def _progress(done: Any) -> str:
    return f"{done.done}/{done.planned}" + ("" if done.best is None else f" best {done.best:.4f}")


def _tested(best: "Tuned", train: "Interactions", test: "Interactions | None") -> "Report | None":
    """Train the best settings on the whole training part, and measure them on the test part."""
    from cofactor.evaluation.tuning import Target

    if test is None or not len(test):
        return None
    return Target.of(best.metric).report(best.solver.fit(train), test)


def _result(best: "Tuned", report: "Report | None", command: str, n_train: int) -> dict[str, Any]:
    counts = best.trials_frame()["state"].value_counts()
    settings = {field.name: getattr(best.solver, field.name) for field in dataclasses.fields(best.solver)}
    return {
        "solver": type(best.solver).__name__,
        "settings": settings,
        "metric": best.metric,
        "validation": best.value,
        "test": None if report is None else dict(report.metrics),
        "trials": dict(counts.iter_rows()),
        "importances": best.importances(),
        "n_unknown": best.n_unknown,
        "n_train": n_train,
        "n_test": 0 if report is None else report.n_test,
        "command": command,
    }


def _written(best: "Tuned", result: dict[str, Any], folder: Path) -> list[Path]:
    """Write the trials, the best settings and the pictures."""
    from cofactor.evaluation import plots

    trials, shares = best.trials_frame(), best.importances()
    written = [write_table(trials, folder / "trials.csv"), write_json(result, folder / "best.json")]
    history = plots.tuning_history(trials, best.metric, maximize=best.maximize)
    written.append(history.save(folder / "history.svg"))
    if not shares:
        return written
    return [*written, plots.importance_plot(shares).save(folder / "importances.svg")]


def _say(best: "Tuned", result: dict[str, Any], n_train: int) -> None:
    trials = best.trials_frame().filter(state="complete")
    top = trials.sort("value", descending=best.maximize, maintain_order=True).head(_SHOWN).drop("state", "error")
    ended = ", ".join(f"{count} {state}" for state, count in sorted(result["trials"].items()))
    show.table(top, title=f"{best.metric} on validation parts of {n_train:,} training ratings ({ended})", decimals=4)
    if best.n_unknown:
        show.say(f"left out of the validation parts: {best.n_unknown:,} ratings of users or items that come later")
    if result["test"] is None:
        show.say(f"validation {best.metric} {best.value:.4f}; there is no test part")
    else:
        figures = ", ".join(f"{name} {value:.4f}" for name, value in result["test"].items() if value is not None)
        show.say(f"the best settings, trained on all of them, on {result['n_test']:,} test ratings: {figures}")
    show.say(f"wrote {', '.join(Path(path).name for path in result['files'])} to {Path(result['files'][0]).parent}/")
    show.say()
    show.headline("next")
    show.say(f"  {result['command']}")


def _options_given(given: dict[str, Any]) -> list[str]:
    """Return the data options that were given."""
    chosen = [(name, value) for name, value in given.items() if value is not None]
    words = ([flag(name, value)] if isinstance(value, bool) else [flag(name), str(value)] for name, value in chosen)
    return [word for option in words for word in option]


def _splitting(split: str, test_fraction: float, horizon: str | None, seed: int, solver: Any) -> list[str]:
    """Return the options that make ``fit`` use the same test part; the seed, where the solver has none."""
    words = ["--split", split] if split != "random" else []
    words += ["--horizon", horizon] if horizon is not None else []
    words += ["--test-fraction", f"{test_fraction:g}"] if test_fraction != 0.2 else []
    return words + (["--seed", str(seed)] if seed and not hasattr(solver, "seed") else [])


def _ranges(kind: type[Any], texts: list[str]) -> dict[str, Any]:
    """Read ``rank=16:256`` as a range and ``loss=bpr,softmax`` as choices."""
    from cofactor.evaluation.search_space import field_types

    kinds = field_types(kind)
    ranges: dict[str, Any] = {}
    for name, text in map(_name_and_text, texts):
        parts = text.split(":")
        if len(parts) == 2:
            ranges[name] = tuple(_value(name, part, kinds.get(name)) for part in parts)
        else:
            ranges[name] = [_value(name, part, kinds.get(name)) for part in text.split(",")]
    return ranges


def _fixed(kind: type[Any], texts: list[str]) -> dict[str, Any]:
    from cofactor.evaluation.search_space import check_known, field_types

    kinds = field_types(kind)
    fixed = {name: _value(name, text, kinds.get(name)) for name, text in map(_name_and_text, texts)}
    check_known(kind, list(fixed))
    return fixed


def _name_and_text(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise SettingError(f"{text!r}: write name=value, such as rank=64, or a range such as rank=16:256")
    return name.strip().replace("-", "_"), value.strip()


def _value(name: str, text: str, kind: Any) -> Any:
    """Read a text as the type of the field; a choice that does not exist is left for the solver to refuse."""
    if kind is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if get_origin(kind) is Literal:
        return next((choice for choice in get_args(kind) if str(choice) == text), text)
    if kind not in (int, float):
        return text
    try:
        return kind(text)
    except ValueError:
        raise SettingError(f"{name}={text}: it must be a {'whole ' if kind is int else ''}number") from None
