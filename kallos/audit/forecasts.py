"""Do forecasts move with rows behind their origin?"""

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
from kallos.audit.verdicts import AuditVerdict
from kallos.features.moments import timestamp
from kallos.features.snapshots import frame_sha256, write_snapshot
from kallos.folds.columns import prepare_fold
from kallos.folds.grid import Fold
from kallos.scoring.fold import fit_fold, forecasts_of, training_cuts
from kallos.scoring.job import FitSpec, FoldJob
from kallos.specs.study import TuneSpec

Array = npt.NDArray[np.float64]
# Rows in, forecasts of the fold's validation window out, of shape (origins, steps, targets), by weights that are fixed.
Forecast = Callable[[pd.DataFrame], Array]
# Rows in, a model out that has learnt what it may learn of them.
Fit = Callable[[pd.DataFrame], Forecast]


def audit_forecasts(rows: pd.DataFrame, fold: Fold, fit: Fit, *, target: str, lead: int = 1) -> list[AuditVerdict]:
    """Return verdicts on one fold's forecasts: those whose origins lie before a change must keep every bit.

    `rows` is a frame as `study_frame` returns it; forecast i is made `lead` rows before the window's row i. Two things
    are tried: other values behind the origin of the middle forecast, with the same weights; and other values behind
    the first origin, with weights that are fitted anew. Columns that move a forecast are named one by one.
    """
    forecast = fit(rows)
    before = forecast(rows)
    middle = (len(before) - 1) // 2
    verdicts = []
    for row in sorted({0, middle}):
        origin = fold.validation_start + row - lead
        if _moves(before, forecast(_behind(rows, fold, origin)), row):
            verdicts += _by_column(rows, fold, forecast, before, row, origin)
            break
    first_origin = fold.validation_start - lead
    changed = _behind(rows, fold, first_origin)
    if not verdicts and _moves(before, fit(changed)(changed), 0):
        verdicts.append(
            AuditVerdict(
                stage="forecast",
                column=None,
                verdict="leak",
                evidence=f"trained anew, the first forecast moves when rows behind its origin "
                f"{timestamp(rows.index[first_origin])} change: they were trained or stopped on",
                remedy="train, stop and select on rows that were known at the first origin",
            )
        )
    if not verdicts:
        verdicts.append(
            AuditVerdict(
                stage="forecast",
                column=target,
                verdict="clean",
                evidence=f"fold {fold.number}: not a bit of a forecast moves when rows behind its origin change, nor "
                f"when it is trained anew",
            )
        )
    return verdicts


@contextmanager
def quick_fit(spec: TuneSpec, fold: Fold) -> Iterator[Fit]:
    """Give the study's own way from rows to forecasts, by its architecture's defaults and one epoch.

    Snapshots of the rows lie in a temporary folder that ends with the block.
    """
    # Of several architectures the first: all are fed by the same way.
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
                metric=spec.metric,
            )
            fitted = fit_fold(job)

            def forecast(seen: pd.DataFrame) -> Array:
                (cut,) = training_cuts(rows.index, job.folds, quick)
                prepared = prepare_fold(seen, fold, spec.features, fit_rows=cut.fit_stop)
                (forecast,) = forecasts_of(job, replace(fitted, series=(prepared,)))
                return forecast.point

            return forecast

        yield fit


def _by_column(
    rows: pd.DataFrame, fold: Fold, forecast: Forecast, before: Array, row: int, origin: int
) -> list[AuditVerdict]:
    """Return a leak for each column that alone moves forecasts from before the change, or one for them together."""
    changed = _behind(rows, fold, origin)
    alone = {name: forecast(rows.assign(**{name: changed[name]})) for name in rows.columns}
    names = [name for name, after in alone.items() if _moves(before, after, row)]
    return [
        AuditVerdict(
            stage="forecast",
            column=name,
            verdict="leak",
            evidence=f"fold {fold.number}: forecasts made up to {timestamp(rows.index[origin])} move when values "
            f"behind it change",
            remedy="forecast from nothing behind the origin",
        )
        for name in names or [None]
    ]


def _behind(rows: pd.DataFrame, fold: Fold, origin: int) -> pd.DataFrame:
    return with_other_values(rows, origin + 1, seed=fold.number)


def _moves(before: Array, after: Array, row: int) -> bool:
    return not np.array_equal(before[: row + 1], after[: row + 1], equal_nan=True)
