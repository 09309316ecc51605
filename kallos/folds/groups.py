"""Groups of columns that are judged together: a column with those that the study computes from it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kallos.folds.derived import sources_of
from kallos.specs.calendar import calendar_names
from kallos.specs.data import FeatureSpec
from kallos.words import shorten

# More groups would make a long table, and each takes forecasts of its own.
MOST_GROUPS = 40


@dataclass(frozen=True)
class ColumnGroup:
    """A group's name, and its columns of `study_frame`."""

    name: str
    columns: tuple[str, ...]


def column_groups(frame: pd.DataFrame, features: FeatureSpec, *, most: int = MOST_GROUPS) -> tuple[ColumnGroup, ...]:
    """Return the groups of a study's columns: the targets', the others in the order of the columns, the calendar's.

    Means and lags belong to the column that they are computed from, and each item of the calendar is a group. `frame`
    is that of `study_frame`. If there are more than `most` groups, columns are joined with those that they correlate
    with (average linkage of 1 - |Spearman's rank correlation|), but never a target and never the calendar.
    """
    sources = sources_of(frame.columns, features)
    calendar = {column for item in features.calendar for column in calendar_names((item,))}
    members: dict[str, list[str]] = {name: [] for name in features.targets}
    for name in frame.columns:
        if name not in calendar:
            members.setdefault(sources.get(name, name), []).append(name)
    groups = [ColumnGroup(name, tuple(columns)) for name, columns in members.items()]
    n_targets = len(features.targets)
    targets, others = groups[:n_targets], groups[n_targets:]
    items = [ColumnGroup(f"calendar: {item}", calendar_names((item,))) for item in features.calendar]
    room = max(most - len(targets) - len(items), 1)
    return (*targets, *(others if len(others) <= room else _joined(others, frame, room)), *items)


def _joined(groups: list[ColumnGroup], frame: pd.DataFrame, most: int) -> Iterator[ColumnGroup]:
    """Yield at most so many groups, each of those that correlate most."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    # A column that never changes correlates with none.
    correlation = frame[[group.name for group in groups]].corr(method="spearman").fillna(0.0).to_numpy()
    distance = np.clip(1 - np.abs(correlation), 0, None)
    np.fill_diagonal(distance, 0)
    labels = fcluster(linkage(squareform(distance, checks=False), "average"), most, criterion="maxclust")
    for label in dict.fromkeys(labels):
        together = [group for group, own in zip(groups, labels, strict=True) if own == label]
        columns = tuple(column for group in together for column in group.columns)
        yield ColumnGroup(shorten([group.name for group in together], 2), columns)
