"""The commands that ask a model: ``cofactor recommend``, ``audience``, ``similar`` and ``describe``."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cofactor.apps import show
from cofactor.apps.options import Json, Master, ModelPath
from cofactor.apps.outputs import check_output, write_table
from cofactor.errors import UnknownIdError
from cofactor.lists.table_formats import check_table_format

if TYPE_CHECKING:
    from cofactor.data.vocabulary import Id
    from cofactor.lists.rerank import Rule
    from cofactor.model.factors import Factors

__all__ = ["audience", "describe", "export", "recommend", "similar"]

N = Annotated[int, typer.Option("-n", help="Length of a list.")]
ExcludeSeen = Annotated[
    bool, typer.Option("--exclude-seen/--include-seen", help="Leave out, or keep, pairs of the training data.")
]
OnUnknown = Literal["raise", "skip", "popular"]
Where = Annotated[
    str | None,
    typer.Option(
        help="Only items for which this holds, such as \"price < 20 and 'Comedy' in genres\".", show_default="all"
    ),
]


def recommend(
    model: ModelPath,
    users: Annotated[list[str] | None, typer.Argument(help="User ids.")] = None,
    n: N = 10,
    everyone: Annotated[bool, typer.Option("--all", help="For every user; needs -o.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write: .parquet, .csv or .jsonl."),
    ] = None,
    exclude_seen: ExcludeSeen = True,
    on_unknown: Annotated[
        OnUnknown | None,
        typer.Option(
            help="Users without history: an error, left out, or popular items", show_default="raise; skip with --all"
        ),
    ] = None,
    where: Where = None,
    at_most: Annotated[
        int | None, typer.Option(min=1, help="At most so many items of a group in a list; --per says which groups.")
    ] = None,
    per: Annotated[
        str | None, typer.Option(help="With --at-most: the items' column of groups", show_default="genres")
    ] = None,
    diversify: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Lists whose items differ in this column, such as genres.")
    ] = None,
    strength: Annotated[
        float | None, typer.Option(min=0, max=1, help="With --diversify: from 0 to 1", show_default="0.1")
    ] = None,
    master: Master = None,
    json_output: Json = False,
) -> None:
    """Recommend the top n items for some users, or for all; after an interruption, the same command resumes."""
    rules = _rules(at_most, per, diversify, strength)
    if everyone == bool(users) or (everyone and output is None):
        raise typer.BadParameter("give user ids, or --all with -o FILE.parquet")
    if master is not None:
        if output is None or not everyone:
            raise typer.BadParameter("--master makes the lists of all users: give --all and -o FOLDER")
        if on_unknown not in (None, "skip"):
            raise typer.BadParameter("--master leaves users without history out: leave out --on-unknown")
        from cofactor.apps.on_spark import recommend_everyone

        _say_written(recommend_everyone(model, output, n, exclude_seen, master, where=where, rules=rules), json_output)
        return
    check_output(output, model)
    if output is not None:
        check_table_format(output)
    import numpy as np

    from cofactor.model.factors import has_history
    from cofactor.model.storage import open_model

    loaded = open_model(model)
    question: dict[str, Any] = {"n": n, "exclude_seen": exclude_seen, "where": where, "rerank": rules}
    if output is not None and everyone:
        with show.progress_bar("recommending", hidden=json_output) as bar:
            written = _recommend_everyone(loaded, output, question | {"on_unknown": on_unknown or "skip"}, bar)
        count = loaded.n_users
        if on_unknown != "popular":
            count = int(np.count_nonzero(has_history(loaded, np.arange(count))))
        _say_written({"output": str(written), "n_users": count}, json_output)
        return
    find = _find_user if on_unknown in (None, "raise") else _parsed
    ids = [find(loaded, user) for user in users or []]
    lists = loaded.recommend(ids, on_unknown=on_unknown or "raise", **question)
    if output is not None:
        write_table(lists, output)
    if json_output:
        show.as_json({"recommendations": show.rows_of(lists)})
    else:
        show.table(lists, right=("position",))


def audience(
    model: ModelPath,
    items: Annotated[list[str], typer.Argument(help="Ids or titles of items.")],
    n: Annotated[int, typer.Option("-n", help="How many users.")] = 100,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write: .parquet, .csv or .jsonl.")
    ] = None,
    exclude_seen: ExcludeSeen = True,
    where: Annotated[
        str | None, typer.Option(help='Only users for whom this holds, such as "age < 30".', show_default="all")
    ] = None,
    json_output: Json = False,
) -> None:
    """List whom to tell about some items: the users with the highest scores for them."""
    check_output(output, model)
    if output is not None:
        check_table_format(output)
    from cofactor.apps.item_search import find_item
    from cofactor.model.storage import open_model

    loaded = open_model(model)
    ids = [find_item(loaded, item) for item in items]
    found = loaded.recommend_users(ids, n, exclude_seen=exclude_seen, where=where)
    if output is not None:
        write_table(found, output)
    if json_output:
        show.as_json({"audience": show.rows_of(found)})
    else:
        show.table(found, right=("position",))


def similar(
    model: ModelPath,
    item: Annotated[str, typer.Argument(help="An item's id or title.")],
    n: N = 10,
    where: Where = None,
    json_output: Json = False,
) -> None:
    """List the items most like one item."""
    from cofactor.apps.item_search import find_item
    from cofactor.model.storage import open_model

    loaded = open_model(model)
    found = find_item(loaded, item)
    near = loaded.similar_items(found, n, where=where)
    if json_output:
        show.as_json({"item": found, "similar": show.rows_of(near)})
    else:
        show.table(near, title=f"like {_title_of(loaded, found)}")


def describe(model: ModelPath, json_output: Json = False) -> None:
    """Show what a model is, and statistics of its vectors, factor by factor."""
    from cofactor.model.storage import open_model

    loaded = open_model(model)
    if json_output:
        show.as_json({**_card(loaded), "vectors": show.rows_of(loaded.describe())})
        return
    show.headline(str(loaded))
    card = _card(loaded)
    settings, metrics = card.pop("settings"), card.pop("metrics")
    _say_entries("model", card)
    _say_entries("setting", settings)
    _say_entries("measured when trained", metrics)
    show.vectors(loaded)


def _say_entries(head: str, entries: Mapping[str, Any]) -> None:
    """Print names and values as a table; nothing if there are none."""
    import polars as pl

    if entries:
        written = [_written(value) for value in entries.values()]
        show.table(pl.DataFrame({head: [*entries], "": written}, schema={head: pl.String, "": pl.String}))


def _written(value: Any) -> str:
    """Write a value for people: figures to four places, lists with commas, nothing as a dash."""
    if value is None or value in ("", (), []):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(map(_written, value)) if isinstance(value, list | tuple) else str(value)


def export(
    model: ModelPath,
    output: Annotated[
        Path, typer.Argument(help="File to write: .parquet, .npz, .faiss, .usearch, .sql (pgvector) or .onnx.")
    ],
    n: N = 10,
    json_output: Json = False,
) -> None:
    """Write a model's vectors for another system; the inner product of a user's and an item's is the score."""
    check_output(output, model)
    from cofactor.model.storage import open_model

    written = open_model(model).export(output, n)
    show.as_json({"output": str(written)}) if json_output else show.say(f"wrote {written}")


def _rules(at_most: int | None, per: str | None, diversify: str | None, strength: float | None) -> "list[Rule]":
    """Return the rules that the options ask for: what is capped first is made diverse then."""
    if per is not None and at_most is None:
        raise typer.BadParameter("--per says which groups --at-most counts: give --at-most too")
    if strength is not None and diversify is None:
        raise typer.BadParameter("--strength is that of --diversify: give --diversify COLUMN too")
    if at_most is None and diversify is None:
        return []
    from cofactor.lists import AtMost, Diversify

    capped: list[Rule] = [] if at_most is None else [AtMost(at_most, per or "genres")]
    return capped + ([] if diversify is None else [Diversify(diversify, 0.1 if strength is None else strength)])


def _say_written(result: dict[str, Any], json_output: bool) -> None:
    if json_output:
        show.as_json(result)
    else:
        show.say(f"wrote lists for {result['n_users']:,} users to {result['output']}")


def _recommend_everyone(model: "Factors", output: Path, question: Mapping[str, Any], progress: show.Progress) -> Path:
    """Write the lists of all users; when interrupted, say how far it got and how to resume."""
    from cofactor.lists.everyone import parts_folder

    done = 0

    def report(users: int) -> None:
        nonlocal done
        done = users
        progress(users / max(model.n_users, 1), f"{users:,} users")

    try:
        return model.recommend_all(output, **question, progress=report)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped after {done:,} of {model.n_users:,} users: the same command resumes there "
            f"(finished lists are in {parts_folder(output)})"
        ) from None


def _title_of(model: "Factors", item: "Id") -> str:
    """Return an item's title with its id, or the id alone."""
    title = None if model.metadata.titles is None else model.metadata.titles[int(model.items.rows([item])[0])]
    return f"{title} (id {item})" if title else str(item)


def _card(model: "Factors") -> dict[str, Any]:
    """Return what a model is: solver, settings, data, sizes, metrics on held-out data."""
    origin = model.origin
    return {
        "solver": origin.solver,
        "settings": dict(origin.settings),
        "goal": model.objective.goal,
        "data": origin.data,
        "trained_at": origin.trained_at,
        "version": origin.version,
        "n_users": model.n_users,
        "n_items": model.n_items,
        "n_train": int(model.seen.nnz),
        "rank": model.rank,
        "metrics": dict(origin.metrics),
    }


def _parsed(model: "Factors", text: str) -> "Id":
    """Return the id that a text would be, whether the model has it or not."""
    return model.users.parse(text)


def _find_user(model: "Factors", text: str) -> "Id":
    """Return the user id that a text means.

    Raises
    ------
    UnknownIdError
        Showing what the ids look like, and where new people are served.
    """
    identifier = model.users.parse(text)
    if identifier not in model.users:
        known = f"the ids look like {model.users[0]!r}" if model.n_users else "the model has none"
        raise UnknownIdError(f"unknown user {text!r}, {known}: use 'cofactor serve' for people who are new")
    return identifier
