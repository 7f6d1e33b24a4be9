"""Lists: the one road from a question to a table of recommended items.

``users, n, filter → queries → retriever → optional re-rankers → table``. Everything here takes arrays, never a
model, so Python, the command line, the service, the evaluation and Spark's executors all call the same functions.
"""

from cofactor.lists.request import ListRequest
from cofactor.lists.rerank import Ranked, Reranker

__all__ = ["ListRequest", "Ranked", "Reranker"]
