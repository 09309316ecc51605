"""Finds all faults of a study's rows before the first fit."""

from kallos.checks.examination import examine
from kallos.checks.findings import FAULTS, Examination, Finding, SeenFold
from kallos.checks.left_out import with_left_out
from kallos.checks.loading import RowReader, examine_each, load_features_to_score, load_sound_features
from kallos.checks.repairs import FIXES, repair, study_lines
from kallos.checks.together import examine_together

__all__ = [
    "FAULTS",
    "FIXES",
    "Examination",
    "Finding",
    "RowReader",
    "SeenFold",
    "examine",
    "examine_each",
    "examine_together",
    "load_features_to_score",
    "load_sound_features",
    "repair",
    "study_lines",
    "with_left_out",
]
