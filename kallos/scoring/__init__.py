"""Training one parameter set on one fold, and scoring its forecasts."""

from kallos.scoring.fold import evaluate_fold
from kallos.scoring.job import FoldJob
from kallos.scoring.result import FoldResult
from kallos.scoring.score import FoldScore

__all__ = ["FoldJob", "FoldResult", "FoldScore", "evaluate_fold"]
