"""Arrow batches as NumPy arrays in an executor, and the number of cores to use."""

import numba
import numpy as np
from scipy import sparse

import cofactor.lists.index  # noqa: F401  (once it is loaded, it is used however few users a batch has)
from cofactor.errors import ModelFileError
from cofactor.spark.arrow import pa

__all__ = ["compressed", "lengths_of", "seen_of", "use_own_cores", "vectors_of"]


def use_own_cores() -> None:
    """Compute on as many threads as Spark gives a task, since an executor runs several tasks."""
    from pyspark import TaskContext

    context = TaskContext.get()
    cores = 1 if context is None else context.cpus()
    numba.set_num_threads(max(1, min(cores, numba.config.NUMBA_NUM_THREADS)))


def vectors_of(batch: pa.RecordBatch, rank: int) -> np.ndarray:
    """Return a batch's column of vectors as an array of shape (rows, rank), zeros where it is null."""
    column = batch["vector"]
    vectors = np.zeros((batch.num_rows, rank), np.float32)
    numbers = column.flatten().to_numpy(zero_copy_only=False)
    there = np.ones(batch.num_rows, bool) if not column.null_count else ~column.is_null().to_numpy(zero_copy_only=False)
    if len(numbers) != there.sum() * rank:
        raise ModelFileError(f"a vector is not {rank} numbers long: the folder is damaged, train the model again")
    vectors[there] = numbers.reshape(-1, rank)
    return vectors


def seen_of(batch: pa.RecordBatch, n_items: int) -> sparse.csr_array:
    """Return what each user has seen, from the columns of lists ``seen`` and ``values``; null is an empty list."""
    indices, values = (batch[name].flatten().to_numpy(zero_copy_only=False) for name in ("seen", "values"))
    return compressed(lengths_of(batch["seen"]), indices, values.astype(np.float32), n_items)


def lengths_of(column: pa.ListArray) -> np.ndarray:
    """Return how long each list is, 0 where it is null."""
    lengths: np.ndarray = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    return lengths


def compressed(lengths: np.ndarray, indices: np.ndarray, values: np.ndarray, n_items: int) -> sparse.csr_array:
    """Return compressed rows, each sorted by item, from entries in row order."""
    indptr = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    table = sparse.csr_array((values, indices.astype(np.int32), indptr), shape=(len(lengths), n_items))
    table.sort_indices()
    return table
