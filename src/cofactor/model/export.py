"""Vectors for other systems: files whose inner products order items as the model's own lists do.

Where a model has item biases, or what is rising counts, an item's vector has one number more and every user's vector a
one: so the product is the score but for what is the same for all items of a user, which is exported beside it as the
user's offset. What a user has seen is not in these files: leave it out where lists are made.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import polars as pl

from cofactor.data.arguments import check_choice
from cofactor.errors import SettingError, missing_extra
from cofactor.files import new_folder
from cofactor.lists.request import checked_n
from cofactor.model.factors import Factors, exact_of, needs_every_draw, users_of

__all__ = ["ExportFormat", "export"]

ExportFormat: TypeAlias = Literal["parquet", "numpy", "faiss", "usearch", "pgvector", "onnx"]

_ROWS_AT_ONCE = 65_536


class _Vectors(NamedTuple):
    """What is exported: vectors (users, columns) and (items, columns), and what is added to a user's scores."""

    users: np.ndarray
    items: np.ndarray
    offsets: np.ndarray


def export(model: Factors, path: str | os.PathLike[str], format: ExportFormat, n: int = 10) -> Path:
    """Write a model's vectors as other systems read them; see `cofactor.Factors.export`."""
    check_choice("format", format, get_args(ExportFormat))
    if needs_every_draw(model):
        raise SettingError(
            "this model's scores are no products of vectors: train BayesianMF with likelihood='gaussian' to export it"
        )
    folder = Path(path)
    if folder.exists():
        raise SettingError(f"{folder} is there already: give the name of a new folder")
    users = users_of(model)
    exact = exact_of(model)
    vectors = _Vectors(exact.queries(users.vectors), exact.items, users.offsets(np.arange(model.n_users)))
    with new_folder(folder) as beside:
        _WRITERS[format](model, vectors, beside, checked_n(n))
        card = {
            "cofactor": "exported vectors",
            "model": model.digest,
            "format": format,
            "columns": int(vectors.items.shape[1]),
            "score": "user vector . item vector + user offset",
        }
        (beside / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return folder


def _names(model: Factors, side: str) -> pl.DataFrame:
    """Return the ids of a side in row order, and the items' titles."""
    if side == "user":
        return pl.DataFrame({"user": model.users.ids})
    titles = model.metadata.titles
    return pl.DataFrame({"item": model.items.ids} | ({} if titles is None else {"title": titles}))


def _write_parquet(model: Factors, vectors: _Vectors, folder: Path, n: int) -> None:
    for side, array in (("user", vectors.users), ("item", vectors.items)):
        column = pl.Series("vector", array, dtype=pl.Array(pl.Float32, array.shape[1]))
        frame = _names(model, side).with_columns(column)
        if side == "user":
            frame = frame.with_columns(offset=pl.Series(vectors.offsets))
        frame.write_parquet(folder / f"{side}s.parquet")


def _write_numpy(model: Factors, vectors: _Vectors, folder: Path, n: int) -> None:
    np.save(folder / "users.npy", vectors.users)
    np.save(folder / "items.npy", vectors.items)
    np.save(folder / "user_offsets.npy", vectors.offsets)
    for side, ids in (("user", model.users), ("item", model.items)):
        np.save(folder / f"{side}_ids.npy", ids.ids.to_numpy() if ids.holds_integers else np.array(ids.ids.to_list()))


def _write_faiss(model: Factors, vectors: _Vectors, folder: Path, n: int) -> None:
    try:
        import faiss
    except ImportError:
        raise missing_extra("faiss", "approximate") from None
    index = faiss.IndexFlatIP(vectors.items.shape[1])
    index.add(np.ascontiguousarray(vectors.items))
    faiss.write_index(index, str(folder / "items.faiss"))
    _write_beside_index(model, vectors, folder)


def _write_usearch(model: Factors, vectors: _Vectors, folder: Path, n: int) -> None:
    try:
        from usearch.index import Index
    except ImportError:
        raise missing_extra("usearch", "export") from None
    index = Index(ndim=vectors.items.shape[1], metric="ip", dtype="f32")
    index.add(np.arange(model.n_items), np.ascontiguousarray(vectors.items))
    index.save(str(folder / "items.usearch"))
    _write_beside_index(model, vectors, folder)


def _write_beside_index(model: Factors, vectors: _Vectors, folder: Path) -> None:
    """Write what an index does not hold: the ids of its rows, and the users to ask for."""
    _names(model, "item").with_row_index("row").write_parquet(folder / "items.parquet")
    _names(model, "user").with_row_index("row").write_parquet(folder / "users.parquet")
    np.save(folder / "users.npy", vectors.users)
    np.save(folder / "user_offsets.npy", vectors.offsets)


def _write_pgvector(model: Factors, vectors: _Vectors, folder: Path, n: int) -> None:
    width = vectors.items.shape[1]
    for side, array in (("user", vectors.users), ("item", vectors.items)):
        names = _names(model, side)
        kinds = {name: "bigint" if kind.is_integer() else "text" for name, kind in names.schema.items()}
        columns = [f'"{name}" {kind}{" primary key" if name == side else ""}' for name, kind in kinds.items()]
        columns.append(f"vector vector({width})")
        if side == "user":
            names = names.with_columns(score_offset=pl.Series(vectors.offsets))
            columns.append("score_offset double precision")
        with (folder / f"{side}s.sql").open("w", encoding="utf-8", newline="\n") as out:
            named = ", ".join(f'"{name}"' for name in kinds)
            more = ", score_offset" if side == "user" else ""
            out.write("create extension if not exists vector;\n")
            out.write(f"create table {side}s ({', '.join(columns)});\n")
            out.write(f"copy {side}s ({named}, vector{more}) from stdin;\n")
            for first in range(0, len(array), _ROWS_AT_ONCE):
                part = names[first : first + _ROWS_AT_ONCE]
                for row, vector in zip(part.iter_rows(), array[first : first + _ROWS_AT_ONCE].tolist(), strict=True):
                    cells = [_copied(cell) for cell in row[: len(kinds)]]
                    cells.append(f"[{','.join(f'{number:.9g}' for number in vector)}]")
                    cells += [f"{number:.17g}" for number in row[len(kinds) :]]
                    out.write("\t".join(cells) + "\n")
            out.write("\\.\n")


def _copied(cell: Any) -> str:
    """Return a value as the text format of PostgreSQL's COPY takes it."""
    if cell is None:
        return r"\N"
    return re.sub(r"[\\\t\n\r]", lambda found: _ESCAPES[found[0]], str(cell))


_ESCAPES = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"}


def _write_onnx(model: Factors, vectors: _Vectors, folder: Path, n: int) -> None:
    try:
        import onnx
    except ImportError:
        raise missing_extra("onnx", "export") from None
    from onnx import TensorProto, helper, numpy_helper

    length = min(n, model.n_items)
    constants = {
        "user_vectors": vectors.users,
        "item_vectors": np.ascontiguousarray(vectors.items.T),
        "user_offsets": vectors.offsets.astype(np.float32)[:, None],
        "n": np.array([length], np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["user_vectors", "user_rows"], ["queries"]),
        helper.make_node("MatMul", ["queries", "item_vectors"], ["products"]),
        helper.make_node("Gather", ["user_offsets", "user_rows"], ["offsets"]),
        helper.make_node("Add", ["products", "offsets"], ["all_scores"]),
        helper.make_node("TopK", ["all_scores", "n"], ["scores", "item_rows"]),
    ]
    graph = helper.make_graph(
        nodes,
        "cofactor",
        [helper.make_tensor_value_info("user_rows", TensorProto.INT64, ["users"])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["users", length]),
            helper.make_tensor_value_info("item_rows", TensorProto.INT64, ["users", length]),
        ],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="cofactor")
    made.ir_version = 8  # which runtimes of the last years read
    onnx.checker.check_model(made)
    apart = sum(array.nbytes for array in constants.values()) > _LARGEST_ONNX
    onnx.save_model(
        made, folder / "lists.onnx", save_as_external_data=apart, location="lists.onnx.data", size_threshold=0
    )
    _write_beside_index(model, vectors, folder)


_LARGEST_ONNX = 2**30
"""Bytes from which on the numbers lie in a file of their own: a protocol buffer ends at 2 GB."""

_WRITERS: Mapping[str, Callable[[Factors, _Vectors, Path, int], None]] = {
    "parquet": _write_parquet,
    "numpy": _write_numpy,
    "faiss": _write_faiss,
    "usearch": _write_usearch,
    "pgvector": _write_pgvector,
    "onnx": _write_onnx,
}
