"""The command ``cofactor quickstart``: train, compare, draw and recommend in under a minute."""

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cofactor.apps import show
from cofactor.apps.compare import compare_ranks
from cofactor.apps.fit import solver_from, train, with_metrics
from cofactor.apps.options import Json, Seed
from cofactor.apps.outputs import check_folder
from cofactor.apps.plot import write_pictures
from cofactor.errors import DownloadError, GoalWarning

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from cofactor.data.interactions import Interactions
    from cofactor.data.vocabulary import Id
    from cofactor.evaluation.report import Comparison
    from cofactor.evaluation.significance import Verdict
    from cofactor.model.factors import Factors

__all__ = ["quickstart"]

RANKS = (5, 10, 20)
ARTICLE = {5: (0.9430, 0.7500), 10: (1.1858, 0.8259), 20: (1.6322, 0.9582)}
"""The MSE and MAE that the article printed at each rank."""

ARTICLE_SETTINGS = {
    "rank": 20,
    "biases": False,
    "regularization": 0.0,
    "bias_regularization": 0.0,
    "learning_rate": 0.005,
    "schedule": "constant",
    "batch_size": 512,
    "epochs": 40,
}
"""The article's model at rank 20, in fewer and larger steps: the article's own take minutes and do worse."""

LENGTH = 5
WITHOUT_NETWORK = "synthetic:943x1682x100000"


def quickstart(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the models and pictures.")] = Path(
        "quickstart"
    ),
    data: Annotated[str, typer.Option(help="The data set.")] = "ml-100k",
    seed: Seed = 0,
    json_output: Json = False,
) -> None:
    """Train and compare the article's three models, train one for lists, recommend, draw and save: start here."""
    check_folder(output)
    start = time.perf_counter()
    ratings, name = _ratings(data, json_output)
    if not json_output:
        show.headline(f"{name}: {ratings!r}")
    with show.progress_bar("training three models", hidden=json_output) as bar:
        comparison, test = compare_ranks(ratings, ["keras"], RANKS, 0.2, seed, done=bar)
    with show.progress_bar("training for lists", hidden=json_output):
        lists = _lists(ratings, seed)
    rows = _beside_the_article(comparison, name)
    ranked = list(map(with_metrics, comparison.models, comparison.reports))
    saved = [model.save(output / f"rank-{model.rank}.safetensors") for model in ranked]
    saved.append(lists.ours.save(output / "ranking.safetensors"))
    others = {"the article": {rank: mse for rank, (mse, _) in ARTICLE.items()}} if name == "ml-100k" else None
    pictures = write_pictures({f"rank {model.rank}": model for model in ranked}, output, others)
    user = ratings.users[0]
    seconds = time.perf_counter() - start
    if json_output:
        show.as_json(_as_json(name, rows, lists, user, saved, pictures, seconds))
        return
    timed = rows.with_columns(rows["fit_seconds"].round(1).cast(str))
    title = f"test error on {len(test):,} held-out ratings, 1 to 5 stars"
    show.table(timed, title=title, right=("fit_seconds",), decimals=4)
    show.vectors(comparison.models[0])
    _show_lists(lists, user)
    names = ", ".join(path.name for path in [*saved, *pictures])
    show.prose(f"wrote {names} to {output}/ — {seconds:.0f} s in all")
    show.say()
    show.headline("next")
    for command in _next(saved[-1], lists.ours, user, name):
        show.say(f"  {command}")
    show.say()
    show.headline("the page, to rate films on and watch the list change")
    show.say(f"  {show.command_line('serve', saved[-1])}    # then open http://127.0.0.1:8000 in a browser")


def _ratings(data: str, quiet: bool) -> "tuple[Interactions, str]":
    from cofactor.data.catalog import load_dataset

    try:
        return load_dataset(data, progress=not quiet, notify=show.note), data
    except DownloadError as error:
        if data != "ml-100k":
            raise
        show.note(f"{error}\nWithout the download, quickstart runs on synthetic ratings: {WITHOUT_NETWORK}")
        return load_dataset(WITHOUT_NETWORK), WITHOUT_NETWORK


def _beside_the_article(comparison: "Comparison", name: str) -> "pl.DataFrame":
    import polars as pl

    rows = comparison.to_frame().drop("solver")
    if name != "ml-100k":
        return rows
    article = [ARTICLE[rank] for rank in rows["rank"]]
    return rows.with_columns(
        pl.Series("article's mse", [mse for mse, _ in article]), pl.Series("article's mae", [mae for _, mae in article])
    )


@dataclass(frozen=True)
class _Lists:
    """Two models of the same training data for top-n lists, measured on the same held-out part, as is popularity."""

    learnt: "Interactions"
    articles: "Factors"
    ours: "Factors"
    articles_ndcg: float
    verdict: "Verdict"  # of ours against popularity
    rated_by: "np.ndarray"  # (items,): how many people rated each in the training data

    def top(self, model: "Factors", user: "Id") -> "pl.DataFrame":
        """Return a user's list, with how many people rated each item."""
        import polars as pl

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GoalWarning)  # this shows what the warning is about
            advised = model.recommend([user], n=LENGTH)
        return advised.with_columns(rated_by=pl.Series(self.rated_by[model.items.rows(advised["item"])]))


def _lists(ratings: "Interactions", seed: int) -> _Lists:
    """Train the article's model and one for lists on the same training part."""
    import numpy as np

    from cofactor.evaluation.report import evaluate
    from cofactor.evaluation.significance import verdict
    from cofactor.solvers.baselines import Popularity

    learnt, test = ratings.split_random(test_fraction=0.2, seed=seed)
    articles = solver_from("keras", {**ARTICLE_SETTINGS, "seed": seed}).fit(learnt)
    ours = train(solver_from("implicit-als", {"seed": seed}), learnt, test)
    assert ours.report is not None
    popular = evaluate(Popularity().fit(learnt), test)
    better = verdict(ours.report, popular, "ndcg@10", "ImplicitALS", "popularity")
    rated_by = np.diff(learnt.by_item.indptr)
    return _Lists(learnt, articles, ours.model, evaluate(articles, test, k=10)["ndcg@10"], better, rated_by)


def _show_lists(lists: _Lists, user: "Id") -> None:
    import polars as pl

    named = pl.coalesce("title", pl.col("item").cast(pl.String))
    liked = lists.learnt.user_history(user).head(LENGTH)  # not what was held out: the lists may contain that
    columns = [liked.select(named.alias(f"user {user} liked best"), pl.col("value").alias("stars"))]
    for head, model in (("the article's top 5", lists.articles), ("top 5 trained for ranking", lists.ours)):
        listed = lists.top(model, user).select(
            named.alias(head), pl.col("rated_by").alias(f"rated by{' ' * len(columns)}")
        )
        columns.append(listed)
    show.table(pl.concat(columns, how="horizontal"), title="two lists for one user", decimals=0)
    told = lists.verdict
    show.prose(
        f"nDCG@10 over all users, on held-out ratings: the article's {lists.articles_ndcg:.3f}, "
        f"popularity {told.other_value:.3f}, trained for ranking {told.value:.3f}"
    )
    show.headline(str(told))
    show.prose(
        "What makes it so: ImplicitALS, with its defaults, learns what people choose, weighted by their stars. "
        "Predicted ratings favour obscure items that a few people loved."
    )


def _next(saved: Path, model: "Factors", user: "Id", name: str) -> list[str]:
    """Return commands to continue with."""
    most_rated = int(model.seen.sum(axis=0).argmax())
    title = None if model.metadata.titles is None else model.metadata.titles[most_rated]
    return [
        show.command_line("recommend", saved, user, options=("-n", 10)),
        show.command_line("similar", saved, title or model.items[most_rated]),
        show.command_line("report", saved, name, options=("-o", saved.with_name("report.html"))),
        show.command_line("fit", name, options=("--rank", 10, "--epochs", 30, "-o", "mine.safetensors")),
    ]


def _as_json(
    name: str,
    rows: "pl.DataFrame",
    lists: _Lists,
    user: "Id",
    saved: list[Path],
    pictures: list[Path],
    seconds: float,
) -> dict[str, Any]:
    return {
        "data": name,
        "rows": show.rows_of(rows),
        "recommendations": show.rows_of(lists.top(lists.ours, user)),
        "article_recommendations": show.rows_of(lists.top(lists.articles, user)),
        "ndcg@10": lists.verdict.value,
        "popularity_ndcg@10": lists.verdict.other_value,
        "verdict": lists.verdict.to_json(),
        "article_ndcg@10": lists.articles_ndcg,
        "models": [str(path) for path in saved],
        "pictures": [str(path) for path in pictures],
        "seconds": round(seconds, 2),
    }
