"""Preflight: all faults of a study's rows, found and named before the first fit."""

from kallos.checks.examination import examine
from kallos.checks.findings import FAULTS, Examination, Finding, SeenFold

__all__ = ["FAULTS", "Examination", "Finding", "SeenFold", "examine"]
