"""How good a model is: metrics, the report on held-out ratings, tuning, charts, the report page."""

from typing import TYPE_CHECKING, Any

from cofactor.evaluation.calibration import calibration
from cofactor.evaluation.exposure import exposure
from cofactor.evaluation.given_lists import evaluate_lists
from cofactor.evaluation.held_out import without_training_rows
from cofactor.evaluation.off_policy import OffPolicy, off_policy
from cofactor.evaluation.online_report import OnlineDifference, OnlineReport, Rate, online
from cofactor.evaluation.protocols import evaluate_by_fold_in, evaluate_sampled
from cofactor.evaluation.report import Comparison, Report, compare, evaluate
from cofactor.evaluation.significance import Difference, better
from cofactor.evaluation.trials import Trial, trial

if TYPE_CHECKING:
    from cofactor.evaluation.html_report.build import report_page
    from cofactor.evaluation.tuning import Tuned, tune

__all__ = [
    "Comparison",
    "Difference",
    "OffPolicy",
    "OnlineDifference",
    "OnlineReport",
    "Rate",
    "Report",
    "Trial",
    "Tuned",
    "better",
    "calibration",
    "compare",
    "evaluate",
    "evaluate_by_fold_in",
    "evaluate_lists",
    "evaluate_sampled",
    "exposure",
    "off_policy",
    "online",
    "report_page",
    "trial",
    "tune",
    "without_training_rows",
]


def __getattr__(name: str) -> Any:
    """Load the report page and the search, which needs Optuna, when they are first used."""
    if name == "report_page":
        from cofactor.evaluation.html_report.build import report_page

        return report_page
    if name in ("Tuned", "tune"):
        from cofactor.evaluation import tuning

        return getattr(tuning, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
