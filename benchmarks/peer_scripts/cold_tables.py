"""What the peers' scripts for new items share: the tables, and nDCG@10 of new items among themselves."""

import numpy as np
from scipy import sparse


class Tables:
    """The parts of the data, by the rows of all items."""

    def __init__(self, path):
        self.data = np.load(path)
        self.features = self.data["features"].astype(np.float32)
        self.n_users, self.small = int(self.data["n_users"]), bool(self.data["small"])

    def matrix(self, name):
        """Return a part as users × its own items."""
        place = np.full(len(self.features), -1)
        rows = self.data[name]
        place[rows] = np.arange(len(rows))
        users, items = self.data[f"{name}.users"], place[self.data[f"{name}.items"]]
        return sparse.csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=(self.n_users, len(rows)))

    def attributes(self, name):
        """Return the features of a part's items, a column of ones at the end."""
        rows = self.features[self.data[name]]
        return np.hstack([rows, np.ones((len(rows), 1), np.float32)])


def ndcg(scores, relevant, known):
    """Return the mean nDCG@10 of users who have something relevant, and had something in training."""
    discounts = 1 / np.log2(np.arange(2, 12))
    ideal = np.concatenate([[0], np.cumsum(discounts)])
    found = []
    for user in np.flatnonzero((np.diff(relevant.indptr) > 0) & (np.diff(known.indptr) > 0)):
        mine = relevant.indices[relevant.indptr[user] : relevant.indptr[user + 1]]
        top = np.argsort(-scores[user], kind="stable")[:10]
        found.append((np.isin(top, mine) * discounts[: len(top)]).sum() / ideal[min(len(mine), 10)])
    return float(np.mean(found))
