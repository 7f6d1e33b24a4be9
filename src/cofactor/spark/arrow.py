"""pyarrow, in whose tables Spark hands rows to Python; where it is missing, the remedy is the extra."""

from cofactor.errors import missing_extra

try:
    import pyarrow as pa
except ImportError as error:
    raise missing_extra("pyarrow", "spark") from error

__all__ = ["pa"]
