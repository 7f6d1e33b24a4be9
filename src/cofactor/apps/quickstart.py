"""The main job: the article's system from a named data set to titles on the screen, in under a minute."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from cofactor.apps import jobs, show
from cofactor.data.catalog import load_dataset
from cofactor.data.interactions import Interactions
from cofactor.data.vocabulary import Id
from cofactor.errors import DownloadError
from cofactor.evaluation.report import Comparison
from cofactor.model.factors import Factors

__all__ = ["ARTICLE", "run"]

RANKS = (5, 10, 20)
ARTICLE = {5: (0.9430, 0.7500), 10: (1.1858, 0.8259), 20: (1.6322, 0.9582)}
"""The article's own MSE and MAE at each rank, as it printed them."""

WITHOUT_NETWORK = "synthetic:943x1682x100000"


def run(folder: Path, data: str, seed: int, json_output: bool) -> None:
    """Train, compare, draw, recommend and save; print it all, or one JSON object."""
    start = time.perf_counter()
    say: Callable[[str], None] = (lambda _: None) if json_output else show.say
    ratings, name = _ratings(data, json_output)
    say(f"[bold]{name}[/bold]: {ratings!r}")
    with show.progress_bar("training three models", hidden=json_output) as bar:
        tries = iter(range(1, len(RANKS) + 1))
        done = lambda *_: bar((number := next(tries)) / len(RANKS), f"{number} of {len(RANKS)}")  # noqa: E731
        comparison, test = jobs.compare_ranks(ratings, ["keras"], RANKS, 0.2, seed, done=done)
    model = comparison.models[-1]
    rows = _beside_the_article(comparison, name)
    saved = [fitted.save(folder / f"rank-{fitted.rank}.safetensors") for fitted in jobs.with_metrics(comparison)]
    others = {"the article": {rank: mse for rank, (mse, _) in ARTICLE.items()}} if name == "ml-100k" else None
    pictures = jobs.write_pictures({f"rank {m.rank}": m for m in jobs.with_metrics(comparison)}, folder, others)
    user = ratings.users[0]
    seconds = time.perf_counter() - start
    if json_output:
        show.as_json(_as_json(name, rows, model, user, saved, pictures, seconds))
        return
    show.table(rows, title=f"test error on {len(test):,} held-out ratings, 1 to 5 stars", decimals=4)
    show.embeddings(comparison.models[0])
    _show_lists(ratings, model, user)
    say(f"wrote {', '.join(path.name for path in [*saved, *pictures])} to {folder}/ — {seconds:.0f} s in all")
    say("")
    say("[bold]next[/bold]")
    for command in _next(saved[-1], model, user, name):
        say(f"  {command}")


def _ratings(data: str, quiet: bool) -> tuple[Interactions, str]:
    try:
        return load_dataset(data, progress=not quiet, notify=show.note), data
    except DownloadError as error:
        if data != "ml-100k":
            raise
        show.note(f"{error}\nNo network, so this runs on made-up ratings instead: {WITHOUT_NETWORK}")
        return load_dataset(WITHOUT_NETWORK), WITHOUT_NETWORK


def _beside_the_article(comparison: Comparison, name: str) -> pl.DataFrame:
    rows = comparison.to_frame().drop("solver")
    if name != "ml-100k":
        return rows
    article = [ARTICLE[rank] for rank in rows["rank"]]
    return rows.with_columns(
        pl.Series("article's mse", [mse for mse, _ in article]), pl.Series("article's mae", [mae for _, mae in article])
    )


def _show_lists(ratings: Interactions, model: Factors, user: Id) -> None:
    liked = ratings.user_history(user).head(5)
    advised = model.recommend([user], n=5)
    named = pl.coalesce("title", pl.col("item").cast(pl.String))
    beside = pl.concat(
        [
            liked.select(named.alias(f"user {user} liked best"), pl.col("value").alias("stars")),
            advised.select(named.alias("top 5 for them"), "score"),
        ],
        how="horizontal",
    )
    show.table(beside, decimals=2)


def _next(saved: Path, model: Factors, user: Id, name: str) -> list[str]:
    most_rated = int(model.seen.sum(axis=0).argmax())
    title = None if model.texts.titles is None else model.texts.titles[most_rated]
    return [
        f"cofactor recommend {saved} {user} -n 10",
        f'cofactor similar {saved} "{title or model.items[most_rated]}"',
        f"cofactor fit {name} --rank 10 --epochs 30 -o mine.safetensors",
    ]


def _as_json(
    name: str,
    rows: pl.DataFrame,
    model: Factors,
    user: Id,
    saved: list[Path],
    pictures: list[Path],
    seconds: float,
) -> dict[str, Any]:
    return {
        "data": name,
        "rows": show.rows_of(rows),
        "recommendations": show.rows_of(model.recommend([user], n=5)),
        "models": [str(path) for path in saved],
        "pictures": [str(path) for path in pictures],
        "seconds": round(seconds, 2),
    }
