"""The commands ``cofactor evaluate`` and ``cofactor compare``: how good models are, printed, as JSON, and as files."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cofactor.apps import show
from cofactor.apps.options import (
    DATA_OPTIONS,
    Data,
    Fraction,
    How,
    Json,
    K,
    Master,
    ModelPath,
    RelevantFrom,
    Seed,
    data_options,
    taking,
)
from cofactor.apps.outputs import check_folder

__all__ = ["compare", "evaluate"]


@taking(DATA_OPTIONS)
def evaluate(
    model: ModelPath,
    data: Data,
    *,
    k: K = None,
    relevant_from: RelevantFrom = None,
    negatives: Annotated[
        int | None, typer.Option(help="Rank each held-out item among so many drawn ones, not among all items.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the report as JSON and CSV, and for pictures.")
    ] = None,
    master: Master = None,
    json_output: Json = False,
    **options: Any,
) -> None:
    """Measure a model on ratings it was not trained on; a Bayesian model's intervals too."""
    from cofactor.apps import jobs, reports
    from cofactor.evaluation.ranking import lengths_for_pictures

    k = _lengths(k, relevant_from)
    if master is not None:
        if negatives is not None or output is not None:
            raise typer.BadParameter("--master ranks all items: leave out --negatives and -o")
        _evaluate_on_spark(model, data, k, relevant_from, master, json_output, data_options(options))
        return
    check_folder(output)
    loaded = jobs.open_model(model)
    ratings = jobs.open_data(data, progress=not json_output, notify=show.note, **data_options(options))
    lists_too = bool(k) or negatives is not None or loaded.objective.goal == "ranking"
    lengths = lengths_for_pictures(k, loaded.n_items) if output is not None and lists_too else k
    report, trained_on = jobs.evaluate_fairly(loaded, ratings, lengths, negatives, relevant_from)
    held = jobs.calibrated(loaded, ratings)
    written = [] if output is None else reports.write_report(report, held, model.stem, output)
    names = reports.shown_metrics(report, k)
    if relevant_from is not None and report.n_without_relevant == report.n_users:
        show.note(
            f"nothing held out was rated {relevant_from:g} or higher, so lists have no figures: lower --relevant-from"
        )
    if json_output:
        more = {} if held is None else {"calibration": show.rows_of(held)}
        files = {"written": [str(path) for path in written], "pictures": _pictures(written)}
        show.as_json({**reports.figures(report, names), "n_trained_on": trained_on, **more, **files})
        return
    show.say(_measured_on(report))
    show.table(reports.report_table(report, names), right=("95 % interval",), decimals=4)
    if held is not None:
        show.table(held, title="intervals: how many held-out ratings they hold")
    for path in written:
        show.say(f"wrote {path}")
    if trained_on:
        show.say(f"{trained_on:,} ratings of {data} were left out: the model was trained on them.")


@taking(DATA_OPTIONS)
def compare(
    data: Data,
    *,
    solver: Annotated[list[str] | None, typer.Option(help="A solver; repeat for more.", show_default="keras")] = None,
    rank: Annotated[list[int] | None, typer.Option(help="A rank; repeat for more.", show_default="5, 10, 20")] = None,
    test_fraction: Fraction = 0.2,
    split: How = "random",
    seed: Seed = 0,
    k: K = None,
    relevant_from: RelevantFrom = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder for JSON, CSV and pictures.")] = None,
    json_output: Json = False,
    **options: Any,
) -> None:
    """Train several solvers at several ranks on one split, and compare them, baselines beside them."""
    from cofactor.apps import jobs, reports
    from cofactor.evaluation.ranking import lengths_for_pictures

    check_folder(output)
    names, ranks, k = [*(solver or ["keras"])], rank or [5, 10, 20], _lengths(k, relevant_from)
    names += [name for name in jobs.baselines_for(names, k) if name not in names]
    ratings = jobs.open_data(data, progress=not json_output, notify=show.note, **data_options(options))
    lengths = lengths_for_pictures(k, ratings.n_items) if output is not None and k else k
    with show.progress_bar("comparing", hidden=json_output) as bar:
        comparison, test = jobs.compare_ranks(
            ratings, names, ranks, test_fraction, seed, split, lengths, relevant_from, bar
        )
    written = [] if output is None else reports.write_comparison(comparison, k, output)
    lead = reports.lead(comparison, k)
    if json_output:
        files = {"written": [str(path) for path in written], "pictures": _pictures(written)}
        show.as_json({"rows": reports.as_rows(comparison, k), "lead": lead, "n_test": len(test), **files})
        return
    table = reports.comparison_table(comparison, k)
    show.say(f"{_measured_on(comparison.reports[0])}; below each figure its 95 % interval over users")
    show.table(table, right=tuple(table.columns[2:]))
    if lead is not None:
        low, high = lead["interval"]
        between = f"{lead['difference']:+.4f} ({low:+.4f} to {high:+.4f})"
        show.say(f"{lead['best']} against {lead['next']}: {lead['metric']} {between}, p = {lead['p_value']:.4f}")
    for path in written:
        show.say(f"wrote {path}")


def _lengths(k: list[int] | None, relevant_from: float | None) -> list[int] | None:
    """Return the lengths of lists that were asked for, and 10 where it was only said what lists are to find."""
    return k or ([10] if relevant_from is not None else None)


def _evaluate_on_spark(
    model: Path,
    data: str,
    k: list[int] | None,
    relevant_from: float | None,
    master: str,
    json_output: bool,
    options: dict[str, Any],
) -> None:
    from cofactor.apps import reports, spark

    report = spark.evaluate(model, data, k, relevant_from, options, master)
    table = spark.report_table(report, reports.shown_metrics(report, k))
    if json_output:
        show.as_json({**dict(table.iter_rows()), **report.counts, "protocol": report.protocol})
        return
    show.say(_measured_on(report))
    show.table(table, decimals=4)


def _measured_on(report: Any) -> str:
    unknown = f", {report.n_unknown:,} more of users or items unknown to the model" if report.n_unknown else ""
    cold = f" ({report.n_without_history:,} users without history)" if report.n_without_history else ""
    protocol = f"; lists: {report.protocol}" if report.protocol else ""
    without = report.n_without_relevant if report.protocol else 0
    left_out = f", {without:,} users without a relevant item left out" if without else ""
    return f"{report.n_test:,} held-out ratings of {report.n_users:,} users{unknown}{cold}{protocol}{left_out}"


def _pictures(written: list[Path]) -> list[str]:
    return [str(path) for path in written if path.suffix == ".svg"]
