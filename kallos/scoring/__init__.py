"""Training and scoring one parameter set on one fold."""

from kallos.scoring.fold import evaluate_fold
from kallos.scoring.job import FoldJob, FoldScore

__all__ = ["FoldJob", "FoldScore", "evaluate_fold"]
