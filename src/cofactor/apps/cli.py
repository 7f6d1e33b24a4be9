"""The command line: what each command is called and what it takes; the work is in `cofactor.apps.jobs`.

Nothing heavy is imported before a command runs, so that ``cofactor --help`` answers at once.
"""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cofactor.apps import serving, show
from cofactor.apps.measuring import compare, evaluate
from cofactor.apps.options import (
    DATA_OPTIONS,
    Data,
    How,
    Json,
    Master,
    ModelPath,
    Seed,
    chosen,
    data_options,
    solver_options,
    taking,
)
from cofactor.apps.outputs import check_folder, check_output
from cofactor.apps.picturing import plot, report
from cofactor.apps.tuning import tune
from cofactor.errors import CofactorError, SettingError
from cofactor.files import replacing
from cofactor.version import __version__

__all__ = ["build", "main"]

Goal = Literal["ranking", "rating"]
N = Annotated[int, typer.Option("-n", help="Length of a list.")]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    build(arguments)(args=arguments, prog_name="cofactor")


def build(arguments: list[str]) -> typer.Typer:
    """Return the application; ``fit`` has the options of the solver that the arguments choose."""
    app = typer.Typer(
        name="cofactor",
        help="Recommend the top n items for anyone by matrix factorization.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(_version)
    for command in (
        datasets,
        synthesize,
        taking(_fields_for(arguments), DATA_OPTIONS)(fit),
        evaluate,
        recommend,
        similar,
        describe,
        compare,
        tune,
        plot,
        report,
        quickstart,
        serving.serve,
        serving.refit,
    ):
        app.command()(show.reporting_errors(command))
    return app


def _fields_for(arguments: list[str]) -> list[Any]:
    if "fit" not in arguments:
        return []
    from cofactor.solvers import SOLVER_FOR, solver_class

    try:
        by_goal = SOLVER_FOR.get(chosen(arguments, "--goal", "ranking"), "")
        return solver_options(solver_class(chosen(arguments, "--solver", by_goal)))
    except CofactorError:  # the command itself meets it again, and reports it
        return []


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cofactor {__version__}")
        raise typer.Exit


def _version(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def datasets(json_output: Json = False) -> None:
    """List the named data sets."""
    from cofactor.data.catalog import datasets as listed

    shown = ("name", "users", "items", "ratings", "download_bytes", "cached", "licence")
    rows = [{field: getattr(entry, field) for field in shown} for entry in listed()]
    if json_output:
        show.as_json({"datasets": rows})
        return
    import polars as pl

    megabytes = (pl.col("download_bytes") / 1e6).round(1).alias("MB")
    show.table(pl.DataFrame(rows).select("name", "users", "items", "ratings", megabytes, "cached"), decimals=1)
    show.say("GroupLens asks to be asked before its data is redistributed or used commercially; see --json for each.")
    show.say("Synthetic ones besides: synthetic:USERSxITEMSxRATINGS[:seed], such as synthetic:1000x500x50000.")


def synthesize(
    name: Annotated[str, typer.Argument(help="Such as synthetic:2000000x200000x200000000, with :SEED if you like.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A new folder for the Parquet files.")],
    json_output: Json = False,
) -> None:
    """Write a synthetic data set to Parquet files, however large it is."""
    from cofactor.data.synthetic import parse
    from cofactor.data.synthetic_files import write_synthetic

    spec = parse(name)
    check_folder(output)
    with show.progress_bar("writing", hidden=json_output) as bar:
        written = write_synthetic(name, output, progress=lambda n: bar(n / spec.ratings, f"{n:,} ratings"))
    if json_output:
        show.as_json({"output": str(written), "n_ratings": spec.ratings})
    else:
        show.say(f"wrote {spec.ratings:,} ratings to {written}")


def fit(
    data: Data,
    *,
    goal: Annotated[
        Goal | None,
        typer.Option(help="What the model is for: top-n lists, or predicted ratings", show_default="ranking"),
    ] = None,
    solver: Annotated[
        str | None, typer.Option(help="Which solver; its own options are below", show_default="by the goal")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where to save the model.")] = None,
    test_fraction: Annotated[
        float | None,
        typer.Option(help="Share held out for testing; 0 trains on all", show_default="0.2; 0 for spark-als"),
    ] = None,
    split: How = "random",
    seed: Seed = 0,
    json_output: Json = False,
    **options: Any,
) -> None:
    """Train a model, and measure it on a held-out part."""
    from cofactor.apps import jobs
    from cofactor.solvers import SOLVER_FOR

    check_output(None if solver == "spark-als" else output, data)
    made = jobs.solver_from(solver or SOLVER_FOR[goal or "ranking"], {**options, "seed": seed}, goal)
    if solver == "spark-als":
        from cofactor.apps.spark import fit_table

        if split != "random":
            raise SettingError(
                f"--split {split}: spark-als trains on all of DATA; keep what is to be tested on in a table of its own"
            )
        result = fit_table(made, data, output, test_fraction, data_options(options))
        show.as_json(result) if json_output else show.fitted_folder(result)
        return
    test_fraction = 0.2 if test_fraction is None else test_fraction
    ratings = jobs.open_data(data, progress=not json_output, notify=show.note, **data_options(options))
    train, test = jobs.split(ratings, split, test_fraction, seed)
    train = jobs.for_goal(made, train)
    with show.progress_bar(f"training {type(made).__name__}", hidden=json_output) as bar:
        fitted = jobs.fit(made, train, test, lambda epoch: bar(epoch.number / epoch.planned, show.figures(epoch)))
    result = fitted.to_json(None if output is None else fitted.model.save(output))
    if json_output:
        show.as_json(result)
    else:
        show.fitted(ratings, result)


def recommend(
    model: ModelPath,
    users: Annotated[list[str] | None, typer.Argument(help="User ids.")] = None,
    n: N = 10,
    everyone: Annotated[bool, typer.Option("--all", help="For every user; needs -o.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Parquet file to write.")] = None,
    include_seen: Annotated[bool, typer.Option(help="Whether seen items may come back.")] = False,
    master: Master = None,
    json_output: Json = False,
) -> None:
    """Recommend the top n items for users, or for everyone; stopped halfway, the same command goes on from there."""
    from cofactor.apps import jobs

    if everyone == bool(users) or (everyone and output is None):
        raise typer.BadParameter("give user ids, or --all with -o FILE.parquet")
    if master is not None:
        if output is None or not everyone:
            raise typer.BadParameter("--master makes everyone's lists: give --all and -o FOLDER")
        from cofactor.apps.spark import recommend_everyone

        result = recommend_everyone(model, output, n, include_seen, master)
        said = f"wrote lists for {result['n_users']:,} users to {result['output']}"
        show.as_json(result) if json_output else show.say(said)
        return
    check_output(output, model)
    loaded = jobs.open_model(model)
    if output is not None and everyone:
        with show.progress_bar("recommending", hidden=json_output) as bar:
            written = jobs.recommend_everyone(loaded, output, n, include_seen, bar)
        result = {"output": str(written), "n_users": loaded.n_users}
        show.as_json(result) if json_output else show.say(f"wrote lists for {loaded.n_users:,} users to {written}")
        return
    ids = [jobs.find_user(loaded, user) for user in users or []]
    lists = loaded.recommend(ids, n, exclude_seen=not include_seen)
    if output is not None:
        with replacing(output) as beside:
            lists.write_parquet(beside)
    if json_output:
        show.as_json({"recommendations": show.rows_of(lists)})
    else:
        show.table(lists, right=("position",))


def similar(
    model: ModelPath,
    item: Annotated[str, typer.Argument(help="An item's id or title.")],
    n: N = 10,
    json_output: Json = False,
) -> None:
    """List the items most like one item."""
    from cofactor.apps import jobs

    loaded = jobs.open_model(model)
    found = jobs.find_item(loaded, item)
    near = loaded.similar_items(found, n)
    if json_output:
        show.as_json({"item": found, "similar": show.rows_of(near)})
    else:
        show.table(near, title=f"like {jobs.title_of(loaded, found)}")


def describe(model: ModelPath, json_output: Json = False) -> None:
    """Say what a model is and describe its vectors, factor by factor."""
    from cofactor.apps import jobs

    loaded = jobs.open_model(model)
    if json_output:
        show.as_json({**jobs.card(loaded), "vectors": show.rows_of(loaded.describe())})
        return
    show.headline(str(loaded))
    for name, value in jobs.card(loaded).items():
        show.say(f"  {name}: {value}")
    show.embeddings(loaded)


def quickstart(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the model and pictures.")] = Path(
        "quickstart"
    ),
    data: Annotated[str, typer.Option(help="The data set.")] = "ml-100k",
    seed: Seed = 0,
    json_output: Json = False,
) -> None:
    """Train the article's three models on ml-100k, compare, draw, recommend, save: the main job."""
    from cofactor.apps.quickstart import run

    check_folder(output)
    run(output, data, seed, json_output)
