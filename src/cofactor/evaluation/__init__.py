"""How good it is: metrics, the report of a model on held-out ratings, and plots."""

from cofactor.evaluation.calibration import calibration
from cofactor.evaluation.protocols import evaluate_by_fold_in, evaluate_sampled
from cofactor.evaluation.report import Comparison, Report, compare, evaluate
from cofactor.evaluation.significance import Difference, better

__all__ = [
    "Comparison",
    "Difference",
    "Report",
    "better",
    "calibration",
    "compare",
    "evaluate",
    "evaluate_by_fold_in",
    "evaluate_sampled",
]
