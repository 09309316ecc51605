"""The forecast stage: do forecasts change with rows after their origin?"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.architectures import get_architecture
from kallos.architectures.lookup import architecture_names
from kallos.audit.perturbation import with_other_values
from kallos.audit.verdicts import AuditVerdict, clean, leak
from kallos.features.moments import timestamp
from kallos.features.snapshots import frame_sha256, write_snapshot
from kallos.folds.columns import known_columns, prepare_fold
from kallos.folds.cut import Fold
from kallos.scoring.fold import cuts_of_fit, fit_fold, forecasts_of, rows_to_fit
from kallos.scoring.job import FitSpec, FoldJob
from kallos.specs.data import FeatureSpec
from kallos.specs.study import TuneSpec

Array = npt.NDArray[np.float64]
# From rows to forecasts of the fold's validation window, whose first axis is the origins, with fixed weights.
Forecast = Callable[[pd.DataFrame], Array]
# From rows to a model that is fitted on them.
Fit = Callable[[pd.DataFrame], Forecast]


def audit_forecasts(rows: pd.DataFrame, fold: Fold, fit: Fit, features: FeatureSpec) -> list[AuditVerdict]:
    """Return verdicts on one fold's forecasts: no bit of a forecast may depend on rows after its origin.

    `rows` is a frame as `study_frame` returns it; forecast i is made `lead` rows before the window's row i. The stage
    tries other values after the origin of the middle forecast with the same weights, and other values after the first
    origin with weights that are fitted again. It names each column that changes a forecast. Columns that are known
    ahead keep their values.
    """
    target, lead = features.only_target, features.lead
    known = known_columns(rows.columns, features)
    forecast = fit(rows)
    before = forecast(rows)
    middle = (len(before) - 1) // 2
    verdicts = []
    for row in sorted({0, middle}):
        origin = fold.validation_start + row - lead
        changed = _changed_after(rows, fold, origin, known)
        if _moves(before, forecast(changed), row):
            verdicts += _by_column(rows, changed, fold, forecast, before, row, origin)
            break
    if verdicts:
        return verdicts
    first_origin = fold.validation_start - lead
    changed = _changed_after(rows, fold, first_origin, known)
    if _moves(before, fit(changed)(changed), 0):
        evidence = (
            f"after training again, the first forecast changes with rows after its origin "
            f"{timestamp(rows.index[first_origin])}: training or early stopping used them"
        )
        return [leak("forecast", None, evidence, "train, stop and select on rows that were known at the first origin")]
    message = f"fold {fold.number}: no bit of a forecast changes with rows after its origin, even after training again"
    return [clean("forecast", target, message)]


@contextmanager
def quick_fit(spec: TuneSpec, fold: Fold) -> Iterator[Fit]:
    """Give the study's own way from rows to forecasts, with its architecture's defaults and one epoch.

    The forecasts' last axis has the median, the means and the quantiles. Snapshots of the rows are in a folder
    that is removed at the end of the block.
    """
    # The first one stands for all: rows are prepared alike for each. How an architecture reads the columns that are
    # known ahead, beside the past or as future covariates, `kallos.contracts` checks for each.
    name = architecture_names(spec.model_name)[0]
    training = spec.training.model_copy(update={"max_epochs": 1})
    whole = FitSpec.of(spec.model_copy(update={"model_name": name}), get_architecture(name).defaults)
    quick = replace(whole, training=training)
    with tempfile.TemporaryDirectory(prefix="kallos-audit-") as folder:

        def fit(rows: pd.DataFrame) -> Forecast:
            job = FoldJob(
                name="audit",
                snapshot=write_snapshot(rows, folder),
                rows_sha256=frame_sha256(rows.iloc[fold.rows]),
                folds=(fold,),
                fit=quick,
            )
            fitted = fit_fold(job)

            def forecast(seen: pd.DataFrame) -> Array:
                cuts = cuts_of_fit(rows.index, job.folds, quick)
                (n_rows,) = rows_to_fit(job.folds, cuts, quick)
                prepared = prepare_fold(seen, fold, spec.features, fit_rows=n_rows)
                (forecast,) = forecasts_of(job, replace(fitted, series=(prepared,)))
                # The means have factors of their own, so they may look ahead where the median does not.
                parts = [each[..., None] for each in (forecast.point, forecast.mean, forecast.rms)]
                return np.concatenate([*parts, forecast.quantiles], axis=-1)

            return forecast

        yield fit


def _by_column(
    rows: pd.DataFrame,
    changed: pd.DataFrame,
    fold: Fold,
    forecast: Forecast,
    before: Array,
    row: int,
    origin: int,
) -> list[AuditVerdict]:
    """Return a leak for each column that changes the forecasts on its own, or one for all columns together."""
    alone = {name: forecast(rows.assign(**{name: changed[name]})) for name in rows.columns}
    names = [name for name, after in alone.items() if _moves(before, after, row)]
    return [
        leak(
            "forecast",
            name,
            f"fold {fold.number}: forecasts made up to {timestamp(rows.index[origin])} change with later values",
            "forecast only from rows up to the origin",
        )
        for name in names or [None]
    ]


def _changed_after(rows: pd.DataFrame, fold: Fold, origin: int, known: list[str]) -> pd.DataFrame:
    return with_other_values(rows, origin + 1, seed=fold.number).assign(**{name: rows[name] for name in known})


def _moves(before: Array, after: Array, row: int) -> bool:
    return not np.array_equal(before[: row + 1], after[: row + 1], equal_nan=True)
