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
    json_output: Json = False,
    **options: Any,
) -> None:
    """Write an HTML report on a model: its data, accuracy, lists, map and card, on ratings it was not trained on."""
    check_output(output, model, data)
    from cofactor.apps.sources import open_data
    from cofactor.evaluation.html_report.build import report_page
    from cofactor.model.storage import open_model

    loaded = open_model(model)
    ratings = open_data(data, progress=not json_output, notify=show.note, **data_options(options))
    with show.progress_bar("reporting", hidden=json_output) as bar:
        page = report_page(
            loaded,
            ratings,
            name=model.stem,
            k=k,
            relevant_from=relevant_from,
            ranks=rank or (),
            examples=examples,
            done=bar,
        )
    written = write_text(page, output)
    if json_output:
        show.as_json({"page": str(written)})
    else:
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
