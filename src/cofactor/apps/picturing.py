"""The commands ``cofactor plot`` and ``cofactor report``: pictures of models, and a whole page about one."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cofactor.apps import show
from cofactor.apps.options import DATA_OPTIONS, Data, Json, K, ModelPath, RelevantFrom, data_options, taking
from cofactor.apps.outputs import check_folder, check_output

__all__ = ["plot", "report"]


def plot(
    models: Annotated[list[Path], typer.Argument(help="One model, or several of different ranks.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the pictures.")] = Path("plots"),
    json_output: Json = False,
) -> None:
    """Draw training curve, error by rank, the map of the items, and the model's diagram."""
    from cofactor.apps import jobs

    check_folder(output)
    written = jobs.write_pictures({path.stem: jobs.open_model(path) for path in models}, output)
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
    output: Annotated[Path, typer.Option("-o", "--output", help="The page to write.")] = Path("report.html"),
    k: K = None,
    relevant_from: RelevantFrom = None,
    rank: Annotated[
        list[int] | None, typer.Option(help="Another rank to train its solver at and compare with; repeat for more.")
    ] = None,
    examples: Annotated[int, typer.Option(help="How many people to show with their lists; 0 shows nobody.")] = 3,
    json_output: Json = False,
    **options: Any,
) -> None:
    """Write one page about a model: its data, accuracy, lists, map and card, on ratings it was not trained on."""
    from cofactor.apps import jobs

    check_output(output, model, data)
    loaded = jobs.open_model(model)
    ratings = jobs.open_data(data, progress=not json_output, notify=show.note, **data_options(options))
    with show.progress_bar("reporting", hidden=json_output) as bar:
        choices = {
            "name": model.stem,
            "k": k,
            "relevant_from": relevant_from,
            "ranks": rank or (),
            "examples": examples,
        }
        written = jobs.write_page(loaded, ratings, output, **choices, done=bar)
    if json_output:
        show.as_json({"page": str(written)})
    else:
        show.say(f"wrote {written}: one file, which any browser opens and a mail can carry")
