"""Lists: the one road from a question to a table of recommended items.

``users, n, filter → queries → retriever → optional re-rankers → table``. Everything here takes arrays, never a
model, so Python, the command line, the service, the evaluation and Spark's executors all call the same functions.

The re-rankers are rules for `cofactor.Factors.recommend` and the like: ``recommend(users, rerank=[AtMost(2)])``.
"""

from cofactor.lists.at_most import AtMost
from cofactor.lists.calibrate import Calibrate
from cofactor.lists.diversify import Diversify
from cofactor.lists.impressions import shown_in_vain
from cofactor.lists.promotion import Boost, Pin, Promote
from cofactor.lists.request import ListRequest
from cofactor.lists.rerank import Ranked, Reranker

__all__ = [
    "AtMost",
    "Boost",
    "Calibrate",
    "Diversify",
    "ListRequest",
    "Pin",
    "Promote",
    "Ranked",
    "Reranker",
    "shown_in_vain",
]
