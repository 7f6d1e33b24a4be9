"""The formats that tables of lists are written in: the name of the file says which."""

from pathlib import Path

from cofactor.errors import SettingError

__all__ = ["TABLE_FORMATS", "check_table_format"]

TABLE_FORMATS = (".parquet", ".csv", ".jsonl")
"""How the name of a table's file may end, which says its format."""


def check_table_format(path: Path) -> None:
    """Refuse to write a table to a file whose name does not say a format.

    Raises
    ------
    SettingError
        Naming the endings that there are.
    """
    if path.suffix not in TABLE_FORMATS:
        *others, last = TABLE_FORMATS
        raise SettingError(f"{path} does not say what to write: let its name end in {', '.join(others)} or {last}")
