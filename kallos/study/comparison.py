"""Studies side by side: may their values be compared, in what do they differ, and which is better where."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from kallos.study.catalogue import RecordedStudy
from kallos.words import day, flattened

# What two values must have in common, each with its place in the specification.
_MEASURE = {
    "asset": ("data", "asset_id"),
    "target": ("features", "target"),
    "label_horizon": ("features", "label_horizon"),
    "horizon": ("horizon",),
    "metric": ("metric",),
    "likelihood": ("likelihood",),
    "quantiles": ("quantiles",),
}


class StudyComparison(BaseModel):
    """Studies side by side, in the order given.

    `why` has a reason for each way in which they are not `comparable`. `settings` are the fields of the specifications
    that differ, each with a value per study, None where a specification does not have it.
    """

    model_config = ConfigDict(frozen=True)

    studies: tuple[RecordedStudy, ...]
    comparable: bool
    why: tuple[str, ...]
    settings: dict[str, tuple[Any, ...]]

    @property
    def best(self) -> str | None:
        """Name of the study of the least value, where they can be compared."""
        values = [
            (each.summary.best_value, each.summary.name) for each in self.studies if each.summary.best_value is not None
        ]
        return min(values)[1] if self.comparable and values else None


def compare(studies: Sequence[RecordedStudy]) -> StudyComparison:
    """Return how studies stand to each other.

    Values can be compared if they are errors of the same forecasts: the same target, looked as far ahead, in the same
    validation windows, with the same rows in them. That the rows are the same is seen by the naive forecasts, which
    err by the same there. On what rows before those a model has been trained does not matter.
    """
    why = _other_measures(studies)
    return StudyComparison(
        studies=tuple(studies),
        comparable=not why,
        why=tuple(why),
        settings=_differences([dict(flattened(each.spec)) for each in studies]),
    )


def _other_measures(studies: Sequence[RecordedStudy]) -> list[str]:
    why = []
    for name, path in _MEASURE.items():
        values = [_at(each.spec, path) for each in studies]
        if any(value != values[0] for value in values):
            why.append(f"{name} differs: {', '.join(map(str, values))}")
    windows = [[(each.validation_start, each.validation_end) for each in study.windows] for study in studies]
    if any(each != windows[0] for each in windows):
        spans = ", ".join(f"{len(each)} from {day(each[0][0])} to {day(each[-1][1])}" for each in windows)
        why.append(f"folds differ: {spans}")
    naive = [[window.naive_values for window in study.windows] for study in studies]
    if not why and any(each != naive[0] for each in naive):
        why.append("rows differ: on the same dates, the naive forecasts of the one do not err as those of the other")
    return why


def _differences(flat: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    names = dict.fromkeys(name for each in flat for name in each)
    values = {name: tuple(each.get(name) for each in flat) for name in names}
    return {name: each for name, each in values.items() if any(value != each[0] for value in each)}


def _at(spec: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = spec
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
