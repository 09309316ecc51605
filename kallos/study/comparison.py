"""A comparison of studies: whether their values are comparable, how they differ, and which is best."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from kallos.study.catalogue import RecordedStudy
from kallos.words import day, flattened

# The fields of the specification that must be equal for values to be comparable.
_MEASURE = {
    "asset": "data.asset_id",
    "target": "features.target",
    "label_horizon": "features.label_horizon",
    "horizon": "horizon",
    "metric": "metric",
    "likelihood": "likelihood",
    "quantiles": "quantiles",
}
# Baselines whose errors depend on the scored rows and the row before them, and not on training rows or columns.
_OF_SCORED_ROWS = ("zero", "last")


class StudyComparison(BaseModel):
    """Studies in the given order.

    `why` lists the reasons why they are not `comparable`. `settings` are the fields of the specifications that differ,
    with one value per study, None if a specification lacks the field.
    """

    model_config = ConfigDict(frozen=True)

    studies: tuple[RecordedStudy, ...]
    comparable: bool
    why: tuple[str, ...]
    settings: dict[str, tuple[Any, ...]]

    @property
    def best(self) -> str | None:
        """Name of the study with the best value, or None if the studies are not comparable."""
        values = {
            each.summary.name: each.summary.best_value for each in self.studies if each.summary.best_value is not None
        }
        return self.studies[0].summary.recorded_metric.best_of(values) if self.comparable and values else None


def compare(studies: Sequence[RecordedStudy]) -> StudyComparison:
    """Return a comparison of studies.

    Values are comparable if they are errors of the same forecasts: the same target and horizon in the same windows with
    the same rows. Equal errors of zero and the last value show that the rows are the same. Training rows do not matter.
    """
    settings = [dict(flattened(each.spec)) for each in studies]
    why = _other_measures(studies, settings)
    return StudyComparison(
        studies=tuple(studies),
        comparable=not why,
        why=tuple(why),
        settings=_differences(settings),
    )


def _other_measures(studies: Sequence[RecordedStudy], settings: Sequence[Mapping[str, Any]]) -> list[str]:
    why = []
    for name, field in _MEASURE.items():
        values = [each.get(field) for each in settings]
        if any(value != values[0] for value in values):
            why.append(f"{name} differs: {', '.join(map(str, values))}")
    directions = [each.summary.recorded_metric.direction for each in studies]
    # A custom metric may have been edited between two studies.
    if not why and any(each != directions[0] for each in directions):
        why.append(f"direction of the metric differs: {', '.join(directions)}")
    windows = [[(each.validation_start, each.validation_end) for each in study.windows] for study in studies]
    if any(each != windows[0] for each in windows):
        spans = ", ".join(f"{len(each)} from {day(each[0][0])} to {day(each[-1][1])}" for each in windows)
        why.append(f"folds differ: {spans}")
    # Studies may name different baselines, and leave out others.
    shared = [
        name
        for name in _OF_SCORED_ROWS
        if all(name in window.baseline_values for study in studies for window in study.windows)
    ]
    errors = [[window.baseline_values[name] for window in study.windows for name in shared] for study in studies]
    if not why and any(each != errors[0] for each in errors):
        why.append("rows differ: the baselines have other errors on the same dates")
    return why


def _differences(flat: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    names = dict.fromkeys(name for each in flat for name in each)
    values = {name: tuple(each.get(name) for each in flat) for name in names}
    return {name: each for name, each in values.items() if any(value != each[0] for value in each)}
