"""The commands ``cofactor datasets`` and ``cofactor synthesize``: named data sets, and made-up ones of any size."""

from pathlib import Path
from typing import Annotated

import typer

from cofactor.apps import show
from cofactor.apps.options import Json
from cofactor.apps.outputs import check_folder

__all__ = ["datasets", "synthesize"]


def datasets(json_output: Json = False) -> None:
    """List the named data sets."""
    import polars as pl

    from cofactor.data.catalog import datasets as listed

    shown = ("name", "users", "items", "ratings", "download_bytes", "cached", "licence")
    rows = [{field: getattr(entry, field) for field in shown} for entry in listed()]
    if json_output:
        show.as_json({"datasets": rows})
        return
    megabytes = (pl.col("download_bytes") / 1e6).round(1).alias("MB")
    show.table(pl.DataFrame(rows).select("name", "users", "items", "ratings", megabytes, "cached"), decimals=1)
    show.say("GroupLens must agree before its data are redistributed or used commercially; --json shows each licence.")
    show.say("Synthetic data: synthetic:USERSxITEMSxRATINGS[:SEED], such as synthetic:1000x500x50000.")


def synthesize(
    name: Annotated[str, typer.Argument(help="Such as synthetic:2000000x200000x200000000; :SEED may follow.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A new folder for the Parquet files.")],
    json_output: Json = False,
) -> None:
    """Write a synthetic data set to Parquet files, in bounded memory."""
    from cofactor.data.synthetic import parse, write_synthetic

    spec = parse(name)
    check_folder(output)
    with show.progress_bar("writing", hidden=json_output) as bar:
        written = write_synthetic(name, output, progress=lambda n: bar(n / spec.ratings, f"{n:,} ratings"))
    if json_output:
        show.as_json({"output": str(written), "n_ratings": spec.ratings})
    else:
        show.say(f"wrote {spec.ratings:,} ratings to {written}")
