"""How good it is: metrics, the report of a model on held-out ratings, and plots."""

from cofactor.evaluation.calibration import calibration
from cofactor.evaluation.report import Comparison, Report, compare, evaluate

__all__ = ["Comparison", "Report", "calibration", "compare", "evaluate"]
