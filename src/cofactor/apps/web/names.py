"""Names in requests and stores, and the rows of a model that they mean."""

from cofactor.data.vocabulary import Vocabulary

__all__ = ["row_named"]


def row_named(ids: Vocabulary, name: str) -> int:
    """Return the row that a name means, or -1.

    Examples
    --------
    >>> [row_named(Vocabulary([7, 8], kind="user"), name) for name in ("7", "007", "ann")]
    [0, -1, -1]
    """
    identifier = ids.parse(name)
    return ids.row(identifier) if str(identifier) == name else -1  # "007" is not 7
