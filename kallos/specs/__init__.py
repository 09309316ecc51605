"""What a study is: everything that its result depends on."""

from kallos.specs.data import DataSpec, FeatureSpec
from kallos.specs.study import FoldSpec, TrainingSpec, TuneSpec

__all__ = ["DataSpec", "FeatureSpec", "FoldSpec", "TrainingSpec", "TuneSpec"]
