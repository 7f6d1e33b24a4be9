"""The commands ``cofactor plot`` and ``cofactor report``: pictures of models, and an HTML report on one."""

import importlib.util
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cofactor.apps import show
from cofactor.apps.options import DATA_OPTIONS, Data, Json, K, ModelPath, RelevantFrom, data_options, taking
from cofactor.apps.outputs import check_output, check_pictures, write_figure, write_text
from cofactor.files import replacing

if TYPE_CHECKING:
    from cofactor.model.factors import Factors

__all__ = ["plot", "report", "write_pictures"]


def plot(
    models: Annotated[list[Path], typer.Argument(help="One model, or several of different ranks.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the pictures.")] = Path("plots"),
    json_output: Json = False,
) -> None:
    """Draw the training curve, error by rank, a map of the items, and a diagram of the model."""
    check_pictures(output)
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
    from cofactor.evaluation.page.whole import report_page
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

    histories = {label: model.history for label, model in models.items() if model.history.keys() & plots.DRAWN}
    errors: dict[str, dict[int, float]] = {}
    for model in models.values():
        if "mse" in model.origin.metrics:
            errors.setdefault(model.origin.solver, {})[model.rank] = model.origin.metrics["mse"]
    last = list(models.values())[-1]
    figures: dict[str, Any] = {}
    if histories:
        figures["training-curve.png"] = plots.training_curve(histories)
    if errors:
        figures["error-by-rank.png"] = plots.error_by_rank({**errors, **(others or {})})
    figures["item-map.png"] = plots.item_map(last)
    written = [write_figure(figure, folder / name) for name, figure in figures.items()]
    return [*written, _write_diagram(last, folder / "model.png")]


def _write_diagram(model: "Factors", path: Path) -> Path:
    """Draw the model with Keras where Graphviz is installed, else with matplotlib."""
    from cofactor.evaluation import plots

    with replacing(path) as beside:
        if not _drawn_by_keras(model, beside):
            plots.model_diagram(model).savefig(beside, format="png")
    return path


def _drawn_by_keras(model: "Factors", path: Path) -> bool:
    if shutil.which("dot") is None or any(importlib.util.find_spec(name) is None for name in ("pydot", "keras")):
        return False
    from cofactor.model.keras_network import draw

    draw(model.to_keras(), path)
    return True
