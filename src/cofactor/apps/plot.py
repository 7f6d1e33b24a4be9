"""The commands ``cofactor plot`` and ``cofactor report``: pictures of models, and an HTML report on one."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cofactor.apps import show
from cofactor.apps.options import DATA_OPTIONS, Data, Json, K, ModelPath, RelevantFrom, data_options, taking
from cofactor.apps.outputs import check_folder, check_output, write_text

if TYPE_CHECKING:
    from cofactor.model.factors import Factors

__all__ = ["plot", "report", "write_pictures"]


def plot(
    models: Annotated[list[Path], typer.Argument(help="One model, or several of different ranks.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the pictures.")] = Path("plots"),
    json_output: Json = False,
) -> None:
    """Draw the training curve, error by rank, a map of the items, and a diagram of the model."""
    check_folder(output)
    from cofactor.model.storage import open_model

    written = write_pictures({path.stem: open_model(path) for path in models}, output)
    if json_output:
        show.as_json({"pictures": [str(path) for path in written]})
        return
    for path in written:
        show.say(f"wrote {path}")


@taking(DATA_OPTIONS)
def report(
    model: ModelPath,
    data: Data,
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="The HTML file to write.")] = Path("report.html"),
    k: K = None,
    relevant_from: RelevantFrom = None,
    rank: Annotated[
        list[int] | None, typer.Option(help="Another rank to train the solver at, for comparison; repeat for more.")
    ] = None,
    examples: Annotated[int, typer.Option(help="How many users to show with their lists; 0 for none.")] = 3,
    against: Annotated[
        Path | None, typer.Option(help="Another model to compare with", show_default="the best baseline")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(help="A column of users or items to compare by; repeat for more", show_default="all that group"),
    ] = None,
    json_output: Json = False,
    **options: Any,
) -> None:
    """Write an HTML report: whether a model is better than another and for whom, on ratings it was not trained on."""
    check_output(output, model, data, *([] if against is None else [against]))
    from cofactor.apps.sources import open_data
    from cofactor.evaluation.html_report.build import written_page
    from cofactor.evaluation.html_report.report_data import collect
    from cofactor.model.storage import open_model

    loaded, other = open_model(model), None if against is None else open_model(against)
    ratings = open_data(data, progress=not json_output, notify=show.note, **data_options(options))
    with show.progress_bar("reporting", hidden=json_output) as bar:
        content = collect(
            loaded,
            ratings,
            name=model.stem,
            k=k,
            relevant_from=relevant_from,
            ranks=rank or (),
            examples=examples,
            against=other,
            against_name="" if against is None else against.stem,
            by=by,
            done=bar,
        )
    written, told = write_text(written_page(content), output), content.verdict
    if json_output:
        show.as_json({"page": str(written), "verdict": None if told is None else told.to_json()})
        return
    if told is not None:
        show.headline(str(told))
    show.say(f"wrote {written}: one self-contained HTML file")


def write_pictures(
    models: "Mapping[str, Factors]", folder: Path, others: Mapping[str, Mapping[int, float]] | None = None
) -> list[Path]:
    """Draw training curves, error by rank, and the map and diagram of the last model.

    ``others`` are further errors by rank to draw.
    """
    from cofactor.evaluation import plots

    histories = {label: model.history for label, model in models.items() if plots.has_curve(model.history)}
    errors: dict[str, dict[int, float]] = {}
    for model in models.values():
        if "mse" in model.origin.metrics:
            errors.setdefault(model.origin.solver, {})[model.rank] = model.origin.metrics["mse"]
    last = list(models.values())[-1]
    charts = {}
    if histories:
        charts["training-curve.svg"] = plots.training_curve(histories)
    if errors:
        charts["error-by-rank.svg"] = plots.error_by_rank({**errors, **(others or {})})
    charts |= {"item-map.svg": plots.item_map(last), "model.svg": plots.model_diagram(last)}
    return [chart.save(folder / name) for name, chart in charts.items()]
