"""Alternating least squares on Spark, for ratings past one machine (`SparkALS`)."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np
import polars as pl

from cofactor.data.interactions import Interactions
from cofactor.errors import SettingError
from cofactor.model.factors import Factors
from cofactor.model.folder import ATTRIBUTE, PLAIN_ATTRIBUTES
from cofactor.model.objectives import Goal, Objective
from cofactor.model.objectives.confidence import Confidence
from cofactor.model.objectives.squared import SquaredError
from cofactor.solvers.base import Callback, Epoch, check_choice, check_settings, check_train, origin_of
from cofactor.solvers.solver_settings import Settings
from cofactor.spark import hadoop_files
from cofactor.spark.failures import clear_errors
from cofactor.spark.mllib import Learnt, Recipe, learn
from cofactor.spark.model_writer import check_target, write_folder
from cofactor.spark.reading import Layout, Source, attribute_table, check_choices, open_table, with_attributes
from cofactor.spark.session import session

__all__ = ["SparkALS"]

_ROWS = Layout(user="user", item="item", value="value", duplicates="error")


@dataclass(frozen=True)
class SparkALS(Settings):
    r"""Vectors and biases for tables that outgrow one machine, by the ALS of Spark's MLlib.

    **Model**: for ratings: score = mean + user bias + item bias + user vector · item vector. For ranking: user vector ·
    item vector, near 1 for what a user would choose.

    **Loss**: for ratings: the squared errors of all ratings, plus for each row with n ratings
    :math:`n \lambda s |x|^2`, where s is the standard deviation of the ratings: that of `ALS` with ``nu=1``, but the
    biases are found first and then held, and cost :math:`n \lambda_b b^2`. For ranking:
    :math:`\sum_{seen} (\alpha_0 + c_{ui}) (\hat s_{ui} - 1)^2 + \alpha_0 \sum_{unseen} \hat s_{ui}^2` plus
    :math:`n \lambda |x|^2`: that of `ImplicitALS` with ``nu=1``, but that a seen pair's own share of the unseen weight
    aims at 1 too, and that the penalty leaves the unseen pairs out.

    MLlib's ``regParam`` is scaled by a row's number of ratings as here, and is :math:`\lambda s` for ratings. For
    ranking MLlib's confidence is :math:`1 + \alpha r`: that is the loss above divided by :math:`\alpha_0`, so
    ``alpha`` = :math:`1 / \alpha_0` and ``regParam`` = :math:`\lambda / \alpha_0`.

    **Algorithm**: alternating least squares by blocks of users and items that exchange vectors; all epochs in one call,
    so that progress is reported once, at the end.

    **Reference**: Zhou, Wilkinson, Schreiber, Pan (2008), Large-scale parallel collaborative filtering for the Netflix
    Prize; Hu, Koren, Volinsky (2008), Collaborative filtering for implicit feedback datasets; Meng et al. (2016),
    MLlib: Machine learning in Apache Spark.

    Parameters
    ----------
    rank : int
        Length of the vectors.
    regularization : float
        Weight of the vectors' squared norms, for each rating; with ``goal="rating"`` in units of the ratings' standard
        deviation.
    epochs : int
        How often both sides are solved.
    goal : {"rating", "ranking"}
        Whether values are ratings to predict, or say how sure it is that a user chose an item.
    unobserved_weight : float
        Weight of a pair that was not seen, against 1 for one that was; only with ``goal="ranking"``.
    biased : bool
        Whether mean and biases are taken off the ratings first; only with ``goal="rating"``.
    bias_regularization : float
        Weight of the biases' squares, for each rating.
    partitions : int
        Into how many blocks users, items and ratings are cut, whatever the table's own parts are.
    checkpoint_every : int
        After how many epochs MLlib writes down where it is, without which its plan grows until the stack overflows.
    seed : int
        Of the initial vectors.
    master : str, optional
        Where Spark runs, such as spark://host:7077; the session that runs already, else this machine.
    working : str, optional
        Folder by URL for intermediate results, which all machines can reach; beside the output if not given.

    Examples
    --------
    >>> SparkALS(rank=8, goal="ranking").unobserved_weight
    0.1
    >>> SparkALS(master="spark://host:7077").fit_table("s3a://shop/ratings", "s3a://shop/model")  # doctest: +SKIP
    """

    rank: int = 20
    regularization: float = 0.09
    epochs: int = 12
    goal: Goal = "rating"
    unobserved_weight: float = 0.1
    biased: bool = True
    bias_regularization: float = 0.05
    partitions: int = 10
    checkpoint_every: int = 5
    seed: int = 0
    master: str | None = None
    working: str | None = None

    def __post_init__(self) -> None:
        check_settings(self, rank=1, epochs=1, seed=0, partitions=1, checkpoint_every=1)
        check_settings(self, regularization=0.0, unobserved_weight=0.0, bias_regularization=0.0)
        check_choice(self, "goal", ("rating", "ranking"))
        if self.goal == "ranking" and not self.unobserved_weight:
            raise SettingError("SparkALS(unobserved_weight=0): pairs that were not seen need some weight, such as 0.1")

    def fit(self, train: Interactions, *, callback: Callback | None = None) -> Factors:
        """Learn vectors for every user and item of ``train``, which goes to Spark and comes back as a model in memory.

        Parameters
        ----------
        train : Interactions
        callback : callable, optional
            Called once, at the end: MLlib does not report single epochs.

        Raises
        ------
        DataError
            If there is nothing to learn from, or a value is negative where that makes no sense.
        ClusterError
            If Java or the master are not there, or the cluster breaks down.
        """
        check_train(train)
        spark = session(self.master)
        with tempfile.TemporaryDirectory(prefix="cofactor-spark-") as folder, clear_errors(spark):
            beside = f"{self.working or hadoop_files.url_of(folder)}/fit"
            with hadoop_files.working_folder(spark, beside) as working:
                learnt = self._learn(spark.createDataFrame(_rows_of(train)), _ROWS, working)
                model = self._factors(train, learnt)
        if callback is not None:
            callback(Epoch(1, 1, {}, lambda: model))
        return model

    def fit_table(
        self,
        source: Source,
        output: str | PathLike[str],
        *,
        layout: Layout | None = None,
        items: Source | None = None,
        users: Source | None = None,
        name: str | None = None,
    ) -> str:
        """Learn from a table of any size and write the model as a folder, atomically.

        Parameters
        ----------
        source : str, path or pyspark.sql.DataFrame
            Parquet or text files by URL (``s3a://``, ``hdfs://``, ``file://``) or path, or a frame.
        output : str or path
            The folder to write, by URL or path; a model folder that is there is replaced.
        layout : Layout, optional
            Which columns are what, and how duplicates and bad rows are treated.
        items, users : str, path or pyspark.sql.DataFrame, optional
            What is known of them: a table with the column item or user, each id once, and any others, such as title,
            genres, price. Lists can keep to rules and conditions on these.
        name : str, optional
            The data's name for people; the source where it is not given.

        Returns
        -------
        str
            The folder's URL. `cofactor.load` reads it where it fits memory, `cofactor.model.folder.open_folder` always.

        Raises
        ------
        DataError
            If the table is not there, lacks a column, has bad rows, or there is nothing to learn from.
        ModelFileError
            If ``output`` is something other than a model folder.
        ClusterError
            If Java or the master are not there, or the cluster breaks down.
        """
        spark = session(self.master)
        given = {"items": items, "users": users}
        with clear_errors(spark):
            known = {
                side: attribute_table(spark, table, side.removesuffix("s"))
                for side, table in given.items()
                if table is not None
            }
        return self._fit_table(source, output, layout or Layout(), known, name)

    def fit_named(self, train: Interactions, output: str | PathLike[str]) -> str:
        """Learn from a table in memory and write the model as a folder, with what is known of both sides.

        See `fit_table`.
        """
        check_train(train)
        spark = session(self.master)
        frame = spark.createDataFrame(train.to_frame().select("user", "item", "value").to_arrow())
        tables = {"users": train.user_table, "items": train.item_table}
        known = {
            side: spark.createDataFrame(_attributes(table).to_arrow())
            for side, table in tables.items()
            if table.width > 1
        }
        return self._fit_table(frame, output, Layout(), known, train.name)

    def _fit_table(
        self, source: Source, output: str | PathLike[str], layout: Layout, known: Mapping[str, Any], name: str | None
    ) -> str:
        check_choices(layout)
        spark, url = session(self.master), hadoop_files.url_of(output)
        with clear_errors(spark):
            check_target(spark, url)
            table = open_table(spark, source, layout)
            beside = f"{self.working}/{url.rpartition('/')[2]}" if self.working else url
            with hadoop_files.working_folder(spark, beside) as working:
                learnt = self._learn(table, layout, working)
                joined = {side: with_attributes(getattr(learnt, side), table) for side, table in known.items()}
                learnt = replace(learnt, **joined)
                origin = origin_of(self, name or _name_of(source))
                write_folder(spark, learnt, self._objective(learnt), origin, url)
        return url

    def _learn(self, table: Any, layout: Layout, working: str) -> Learnt:
        ranking = self.goal == "ranking"
        scale = 1 / self.unobserved_weight if ranking else 1.0
        recipe = Recipe(
            rank=self.rank,
            epochs=self.epochs,
            regularization=self.regularization * scale,
            bias_regularization=self.bias_regularization if self.biased and not ranking else None,
            alpha=scale if ranking else None,
            partitions=self.partitions,
            checkpoint_every=self.checkpoint_every,
            seed=self.seed,
        )
        return learn(table, recipe, layout, working)

    def _objective(self, learnt: Learnt) -> Objective:
        if self.goal == "ranking":
            return Confidence(
                goal="ranking",
                regularization=self.regularization,
                nu=1.0,
                unobserved_weight=self.unobserved_weight,
                adds_unobserved=True,
            )
        return SquaredError(
            bias_first=self.biased,
            regularization=self.regularization * learnt.spread,
            bias_regularization=self.bias_regularization,
            nu=1.0,
            scale=learnt.scale,
        )

    def _factors(self, train: Interactions, learnt: Learnt) -> Factors:
        users, items = (
            _Side.of(frame, n, self.rank) for frame, n in ((learnt.users, train.n_users), (learnt.items, train.n_items))
        )
        return Factors(
            users.vectors,
            items.vectors,
            train.users,
            train.items,
            users.bias,
            items.bias,
            learnt.mean,
            train.matrix,
            train.metadata,
            self._objective(learnt),
            origin_of(self, train),
        )


@dataclass(frozen=True)
class _Side:
    """One side's vectors (rows, rank), and biases (rows,) or None; zeros for rows without ratings."""

    vectors: np.ndarray
    bias: np.ndarray | None

    @classmethod
    def of(cls, frame: Any, n: int, rank: int) -> "_Side":
        """Collect a frame whose ids are row numbers."""
        known = pl.DataFrame(frame.toArrow())
        rows = known["id"].to_numpy()
        vectors = np.zeros((n, rank), np.float32)
        vectors[rows] = known["vector"].list.to_array(rank).to_numpy()
        if "bias" not in known.columns:
            return cls(vectors, None)
        bias = np.zeros(n, np.float32)
        bias[rows] = known["bias"].to_numpy()
        return cls(vectors, bias)


def _rows_of(train: Interactions) -> Any:
    """Return the interactions as an Arrow table of row numbers, which serve as ids."""
    columns = train.triplets()
    names = ("user", "item", "value")
    arrays = (columns.user_rows.astype(np.int64), columns.item_rows.astype(np.int64), columns.values)
    return pl.DataFrame(dict(zip(names, arrays, strict=True))).to_arrow()


def _attributes(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table of attributes with the names that they have in a model folder, and types that Spark knows."""
    ids, *columns = table.iter_columns()
    named = {column.name: "" if column.name in PLAIN_ATTRIBUTES else ATTRIBUTE for column in columns}
    return pl.DataFrame(
        [ids.alias("id"), *(_for_spark(column).alias(named[column.name] + column.name) for column in columns)]
    )


def _for_spark(column: pl.Series) -> pl.Series:
    if column.dtype.is_unsigned_integer():
        return column.cast(pl.Int64)
    return column.cast(pl.String) if column.dtype == pl.Time else column


def _name_of(source: Source) -> str:
    return str(source) if isinstance(source, str | PathLike) else "a Spark frame"
