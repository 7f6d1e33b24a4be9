"""Whom a store has erased, and what of them older models still hold.

A model that was trained before somebody was erased still has them, and so have its copies and backups. So that they do
not come back with it, the store keeps a digest of each erased id, keyed with the store's own random name: it tells
whether a given id was erased, and names nobody. A refit notes in its model up to which write of the store it has
learnt; only what was erased later is in it.
"""

import hashlib
from collections.abc import Iterable

import numpy as np

from cofactor.data.interactions import Interactions
from cofactor.data.vocabulary import Vocabulary
from cofactor.model.factors import Factors
from cofactor.model.forgetting import without_rows
from cofactor.model.origin import Origin

__all__ = ["Erasures", "digest_of"]


def digest_of(user: str, born: str) -> str:
    """Return the digest of an id in the store of a name: 32 hexadecimal digits."""
    return hashlib.blake2b(user.encode("utf-8", "surrogatepass"), digest_size=16, key=born.encode()[:64]).hexdigest()


class Erasures:
    """Whom a store has erased, and with which of its writes. Threads may read while one adds.

    Examples
    --------
    >>> erased = Erasures.of("shop", 8, [(digest_of("ann", "shop"), 7)])
    >>> erased.hold("ann", Origin()), erased.hold("ann", Origin(store=("shop", 7))), erased.hold("bob", Origin())
    (True, False, False)
    """

    def __init__(self) -> None:
        self.born, self.revision = "", -1
        self._revisions: dict[str, int] = {}

    @classmethod
    def of(cls, born: str, revision: int, erased: Iterable[tuple[str, int]]) -> "Erasures":
        """Return those of a store, up to a revision."""
        made = cls()
        made.add(born, revision, erased)
        return made

    def add(self, born: str, revision: int, erased: Iterable[tuple[str, int]]) -> None:
        """Add what a store has erased up to a revision; those of another store are dropped."""
        known = self._revisions if born == self.born else {}
        self._revisions = known | {digest: number for digest, number in erased}  # noqa: C416  (rows are no tuples)
        self.born, self.revision = born, revision

    def clear(self) -> None:
        """Drop all, since the store is another one now."""
        self.add("", -1, ())

    def hold(self, user: str, origin: Origin) -> bool:
        """Tell whether a user was erased after a model of an origin was trained."""
        return bool(self._revisions) and self._revisions.get(digest_of(user, self.born), -1) > self._learnt_up_to(
            origin
        )

    def rows_in(self, users: Vocabulary, origin: Origin) -> np.ndarray:
        """Return the rows of those users of a model who were erased after it was trained."""
        least, born, revisions = self._learnt_up_to(origin), self.born, self._revisions
        if not any(revision > least for revision in revisions.values()):
            return np.empty(0, np.int64)
        names = enumerate(map(str, users.ids.to_list()))
        return np.array([row for row, name in names if revisions.get(digest_of(name, born), -1) > least], np.int64)

    def taken_out_of(self, model: Factors) -> Factors:
        """Return a model without them."""
        rows = self.rows_in(model.users, model.origin)
        return without_rows(model, rows) if len(rows) else model

    def taken_out_of_data(self, data: Interactions) -> Interactions:
        """Return training data without them."""
        return data.forget(data.users.take(self.rows_in(data.users, Origin())))

    def _learnt_up_to(self, origin: Origin) -> int:
        name, revision = origin.store or ("", -1)
        return revision if name == self.born else -1
