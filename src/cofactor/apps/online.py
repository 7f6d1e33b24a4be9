"""The command ``cofactor online``: what people did with the lists that a service served, whose they prefer."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cofactor.apps import show
from cofactor.apps.options import Json
from cofactor.apps.outputs import check_output
from cofactor.apps.serving import check_extra
from cofactor.errors import SettingError

if TYPE_CHECKING:
    import polars as pl

    from cofactor.evaluation.online_report import OnlineReport

__all__ = ["online"]


def online(
    store: Annotated[
        str, typer.Argument(help="Where the service keeps ratings: its model, its SQLite file, or a URL.")
    ],
    *,
    served: Annotated[
        bool, typer.Option("--served", help="Count every list as shown, where nobody tells what was.")
    ] = False,
    experiment: Annotated[str | None, typer.Option(help="Which split of the users.", show_default="the latest")] = None,
    days: Annotated[int | None, typer.Option(help="Only the lists of so many days.", show_default="all")] = None,
    target: Annotated[
        Path | None, typer.Option(help="A model to judge by lists that were served with --explore.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where to write the lists and events: .parquet or .csv.")
    ] = None,
    json_output: Json = False,
) -> None:
    """Tell what people did with the lists that were served with --events, and which model they prefer.

    Every figure has two intervals: one for a single look at a time fixed before, and one that holds however often one
    looks.
    """
    check_extra("sqlalchemy", "alembic")
    from cofactor.evaluation.online_report import online as compare

    if output is not None:
        check_output(output)
        if output.suffix not in (".parquet", ".csv"):
            raise SettingError(f"-o {output}: the name must end with .parquet or .csv")
    if days is not None and days < 1:
        raise SettingError(f"--days {days}: it must be 1 or more")
    lists = _logged(store, days)
    if output is not None:
        lists.write_parquet(output) if output.suffix == ".parquet" else lists.write_csv(output)
    if target is not None:
        _judge(lists, target, served, json_output)
        return
    report = compare(lists, served=served, experiment=experiment)
    if json_output:
        show.as_json(_document(report))
        return
    _print(report)


def _logged(store: str, days: int | None) -> "pl.DataFrame":
    """Return what is stored, a row for each position of each list."""
    import time

    from cofactor.apps.web.events_store import EventsStore, logged_lists
    from cofactor.apps.web.store import RatingsStore, StoreAway

    opened = RatingsStore(_address(store))
    since = 0 if days is None else int(time.time() // 86_400) - days + 1
    try:
        if opened.version() is None:
            raise SettingError(
                f"{opened} has no stored ratings and lists: name what 'cofactor serve' logs as its store"
            )
        lists = logged_lists(EventsStore(opened), since)
    except StoreAway as error:
        raise StoreAway(f"the lists cannot be read: check that the database runs ({error})") from None
    finally:
        opened.close()
    if lists.is_empty():
        raise SettingError(f"no list is stored in {opened}: start the service with --events")
    return lists


def _address(store: str) -> Any:
    """Return the URL of a store, given by it, by a SQLite file or by a model."""
    from cofactor.apps.web.store import beside

    if "://" in store:
        return store
    path = Path(store)
    if not path.exists():
        raise SettingError(f"{store} is not there: name the service's model, its SQLite file, or its database's URL")
    if path.is_dir() or path.suffix == ".safetensors":
        return beside(path)
    return f"sqlite:///{path.absolute()}"


def _judge(lists: "pl.DataFrame", target: Path, served: bool, json_output: bool) -> None:
    """Tell how many items of a model's lists would be chosen."""
    import dataclasses

    import polars as pl

    from cofactor.evaluation.off_policy import off_policy
    from cofactor.model.storage import load

    model = load(target)
    shown = lists.filter(pl.col("user").is_not_null()) if not served else lists.with_columns(shown=pl.lit(True))
    with_chance = shown.filter(pl.col("propensity").is_not_null())
    known = {str(user): user for user in model.users.ids.to_list()}
    occasions = with_chance.filter(pl.col("user").is_in(list(known))).group_by("list_id").agg(
        pl.col("user").first(), n=pl.len()
    )  # fmt: skip
    shown = shown.filter(pl.col("list_id").is_in(occasions["list_id"].implode())) if len(occasions) else with_chance
    found = off_policy(shown, _lists_of(model, occasions, known))
    if json_output:
        show.as_json({"target": str(target), **dataclasses.asdict(found)})
        return
    show.say(str(found))
    show.say(f"from {found.n_matched:,} of {found.n_positions:,} positions of {found.n_lists:,} lists with chance")


def _lists_of(model: Any, occasions: "pl.DataFrame", known: dict[str, Any]) -> "pl.DataFrame":
    """Return a model's lists for the users of some lists, as long as these."""
    import polars as pl

    if occasions.is_empty():
        return pl.DataFrame(schema={"list_id": pl.String, "position": pl.Int64, "item": pl.String})
    users = [known[user] for user in occasions["user"].unique(maintain_order=True)]
    best = model.recommend(users, n=occasions["n"].max())
    best = best.select(pl.col("user", "item").cast(pl.String), pl.col("position").cast(pl.Int64))
    return occasions.join(best, on="user").filter(pl.col("position") <= pl.col("n")).select(
        "list_id", "position", "item"
    )  # fmt: skip


def _print(report: "OnlineReport") -> None:
    show.say(report.verdict)
    if report.harmful or report.better:
        show.say("This holds however often you have looked.")
    import polars as pl

    names = ("rate", "arm", "mean", "95 %, one look", "users", "lists")
    rates = [
        (one.metric, one.arm, one.mean, _bounds(one.low, one.high, ""), one.n_users, one.n_lists)
        for one in report.rates
    ]
    if rates:
        show.table(pl.DataFrame(rates, schema=names, orient="row"), decimals=4)
    differences = [*report.differences, *([report.preference] if report.preference else [])]
    if differences:
        apart = [
            (
                one.metric,
                f"{one.mean:+.4f}",
                _bounds(one.low, one.high),
                _bounds(one.always_low, one.always_high),
                one.n_users,
            )
            for one in differences
        ]
        columns = ("B less A", "mean", "95 %, one look", "95 %, all looks", "users")
        show.table(pl.DataFrame(apart, schema=columns, orient="row"), right=("mean",))
    if report.n_switched:
        show.say(f"{report.n_switched:,} users had lists of several arms, and are left out")


def _bounds(low: float, high: float, sign: str = "+") -> str:
    return f"{low:{sign}.4f} to {high:{sign}.4f}" if high < float("inf") else "too few users yet"


def _document(report: "OnlineReport") -> dict[str, Any]:
    import dataclasses

    return {
        "verdict": report.verdict, "harmful": report.harmful, "better": report.better, **dataclasses.asdict(report),
    }  # fmt: skip
