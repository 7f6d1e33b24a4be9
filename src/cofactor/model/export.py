"""Vectors for other systems: one file whose inner products are the model's scores.

Where a model has item biases, or what is rising counts, an item's vector has that number more and every user's vector a
one; where something is added to all scores of a user, it is the other way round. What a user has seen is not in these
files: leave it out where lists are made.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from cofactor.errors import SettingError, missing_extra
from cofactor.files import replacing
from cofactor.lists.request import checked_n
from cofactor.model.factors import Factors, exact_of, needs_every_draw, users_of

__all__ = ["export"]

_ROWS_AT_ONCE = 65_536


class _Vectors(NamedTuple):
    """Vectors whose inner products are scores: float32, shapes (users, columns) and (items, columns)."""

    users: np.ndarray
    items: np.ndarray


def export(model: Factors, path: str | os.PathLike[str], n: int = 10) -> Path:
    """Write a model's vectors as another system reads them; see `cofactor.Factors.export`."""
    target = Path(path)
    if target.suffix not in _WRITERS:
        *others, last = _WRITERS
        raise SettingError(f"{target} does not say what to write: let its name end in {', '.join(others)} or {last}")
    if target.is_dir():
        raise SettingError(f"{target} is a folder: give the name of the file to write")
    if needs_every_draw(model):
        raise SettingError(
            "this model's scores are no products of vectors: train BayesianMF with likelihood='gaussian' to export it"
        )
    with replacing(target) as beside:
        _WRITERS[target.suffix](model, _vectors_of(model), beside, checked_n(n))
    return target


def _vectors_of(model: Factors) -> _Vectors:
    users, exact = users_of(model), exact_of(model)
    queries, keys = exact.queries(users.vectors), exact.items
    offsets = users.offsets(np.arange(model.n_users)).astype(np.float32)
    if offsets.any():
        queries, keys = np.column_stack([queries, offsets]), np.column_stack([keys, np.ones(len(keys), np.float32)])
    return _Vectors(np.ascontiguousarray(queries), np.ascontiguousarray(keys))


def _names(model: Factors, side: str) -> pl.DataFrame:
    """Return the ids of a side in row order, and the items' titles."""
    if side == "user":
        return pl.DataFrame({"user": model.users.ids})
    titles = model.metadata.titles
    return pl.DataFrame({"item": model.items.ids} | ({} if titles is None else {"title": titles}))


def _write_parquet(model: Factors, vectors: _Vectors, path: Path, n: int) -> None:
    kind = model.items.ids.dtype if model.items.ids.dtype == model.users.ids.dtype else pl.String
    titles = model.metadata.titles
    parts = []
    for side, ids, array in (("user", model.users, vectors.users), ("item", model.items, vectors.items)):
        known = titles if side == "item" and titles is not None else pl.Series([None], dtype=pl.String)
        columns = {
            "side": pl.Series([side]).new_from_index(0, len(ids)),
            "id": ids.ids.cast(kind),
            "title": known if len(known) == len(ids) else known.new_from_index(0, len(ids)),
            "vector": pl.Series(array, dtype=pl.Array(pl.Float32, array.shape[1])),
        }
        parts.append(pl.DataFrame(columns))
    pl.concat(parts).write_parquet(path, metadata={"cofactor": model.digest})


def _write_npz(model: Factors, vectors: _Vectors, path: Path, n: int) -> None:
    ids: dict[str, Any] = {
        f"{side}_ids": known.ids.to_numpy() if known.holds_integers else np.array(known.ids.to_list(), dtype=np.str_)
        for side, known in (("user", model.users), ("item", model.items))
    }
    with path.open("wb") as out:
        np.savez(out, user_vectors=vectors.users, item_vectors=vectors.items, **ids)


def _write_faiss(model: Factors, vectors: _Vectors, path: Path, n: int) -> None:
    try:
        import faiss
    except ImportError:
        raise missing_extra("faiss", "approximate") from None
    index = faiss.IndexIDMap2(faiss.IndexFlatIP(vectors.items.shape[1]))
    index.add_with_ids(vectors.items, _keys(model))
    faiss.write_index(index, str(path))


def _write_usearch(model: Factors, vectors: _Vectors, path: Path, n: int) -> None:
    try:
        from usearch.index import Index
    except ImportError:
        raise missing_extra("usearch", "export") from None
    index = Index(ndim=vectors.items.shape[1], metric="ip", dtype="f32")
    index.add(_keys(model), vectors.items)
    index.save(str(path))


def _keys(model: Factors) -> np.ndarray:
    """Return the numbers that an index knows the items by: their ids, or rows where these are no such numbers."""
    ids = model.items.ids
    if model.items.holds_integers and (not len(ids) or (int(ids.min()) >= 0 and int(ids.max()) < 2**63)):  # type: ignore[arg-type]
        return ids.to_numpy().astype(np.int64)
    return np.arange(len(ids))


def _write_sql(model: Factors, vectors: _Vectors, path: Path, n: int) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as out:
        out.write("create extension if not exists vector;\n")
        for side, array in (("user", vectors.users), ("item", vectors.items)):
            names = _names(model, side)
            kinds = {name: "bigint" if kind.is_integer() else "text" for name, kind in names.schema.items()}
            columns = [f'"{name}" {kind}{" primary key" if name == side else ""}' for name, kind in kinds.items()]
            columns.append(f'"vector" vector({array.shape[1]})')
            out.write(f"create table {side}_vectors ({', '.join(columns)});\n")
            named = ", ".join(f'"{name}"' for name in [*kinds, "vector"])
            out.write(f"copy {side}_vectors ({named}) from stdin;\n")
            for first in range(0, len(array), _ROWS_AT_ONCE):
                part = slice(first, first + _ROWS_AT_ONCE)
                for row, vector in zip(names[part].iter_rows(), array[part].tolist(), strict=True):
                    numbers = f"[{','.join(f'{number:.9g}' for number in vector)}]"
                    out.write("\t".join([*map(_copied, row), numbers]) + "\n")
            out.write("\\.\n")


def _copied(cell: Any) -> str:
    """Return a value as the text format of PostgreSQL's COPY takes it."""
    if cell is None:
        return r"\N"
    return re.sub(r"[\\\t\n\r]", lambda found: _ESCAPES[found[0]], str(cell))


_ESCAPES = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"}


def _write_onnx(model: Factors, vectors: _Vectors, path: Path, n: int) -> None:
    try:
        import onnx
    except ImportError:
        raise missing_extra("onnx", "export") from None
    from onnx import TensorProto, helper, numpy_helper

    ids = model.items.ids.to_numpy() if model.items.holds_integers else np.array(model.items.ids.to_list(), object)
    kind = TensorProto.INT64 if model.items.holds_integers else TensorProto.STRING
    length = min(n, model.n_items)
    constants = {
        "user_vectors": vectors.users,
        "item_vectors": np.ascontiguousarray(vectors.items.T),
        "n": np.array([length], np.int64),
        "item_ids": ids.astype(np.int64) if model.items.holds_integers else ids,
    }
    if (size := sum(array.nbytes for array in constants.values())) > _LARGEST_ONNX:
        raise SettingError(
            f"an ONNX file holds at most 2 GB, and these vectors take {size / 2**30:.1f} GiB: export .parquet or .npz"
        )
    nodes = [
        helper.make_node("Gather", ["user_vectors", "user_rows"], ["queries"]),
        helper.make_node("MatMul", ["queries", "item_vectors"], ["all_scores"]),
        helper.make_node("TopK", ["all_scores", "n"], ["scores", "item_rows"]),
        helper.make_node("Gather", ["item_ids", "item_rows"], ["items"]),
    ]
    graph = helper.make_graph(
        nodes,
        "cofactor",
        [helper.make_tensor_value_info("user_rows", TensorProto.INT64, ["users"])],
        [
            helper.make_tensor_value_info("items", kind, ["users", length]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["users", length]),
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="cofactor")
    made.ir_version = 8  # which runtimes of the last years read
    onnx.checker.check_model(made)
    onnx.save_model(made, path)


_LARGEST_ONNX = 2 * 10**9 - 10**6

_WRITERS: Mapping[str, Callable[[Factors, _Vectors, Path, int], None]] = {
    ".parquet": _write_parquet,
    ".npz": _write_npz,
    ".faiss": _write_faiss,
    ".usearch": _write_usearch,
    ".sql": _write_sql,
    ".onnx": _write_onnx,
}
