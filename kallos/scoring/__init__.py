"""One parameter set, trained and scored on one fold."""

from kallos.scoring.fold import evaluate_fold
from kallos.scoring.job import FoldJob, FoldScore

__all__ = ["FoldJob", "FoldScore", "evaluate_fold"]
