"""Training a model: the study's chosen parameters, refitted on all of its rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.architectures import get_architecture
from kallos.errors import DataError, FitError, UsageError
from kallos.features.frequency import find_frequency
from kallos.features.moments import timestamp
from kallos.features.snapshots import frame_sha256
from kallos.folds.columns import PreparedFold, prepare_fold
from kallos.folds.cut import Fold, InnerCut
from kallos.folds.scalers import Preparation
from kallos.models.manifest import Choice, FileRecord, Manifest, MemberRecord, Refit, Select
from kallos.scoring.fold import FittedFold, as_fit_errors, cuts_of_fit, fit_every_row, fit_prepared, rows_to_fit
from kallos.scoring.forecast import Forecast
from kallos.scoring.job import EVALUATION_VERSION, FitSpec
from kallos.scoring.machine import installed_versions, machine
from kallos.scoring.weights import weights_bytes, weights_of
from kallos.study.best_params import BestParams
from kallos.study.replication import SeedReplication, seeds_from

if TYPE_CHECKING:
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel

Array = npt.NDArray[np.float64]

PREPARATION_FILE = "preparation.json"


@dataclass(frozen=True)
class TrainedModel:
    """A loaded model: its manifest, its scalers, and a fitted Darts model for each member."""

    manifest: Manifest
    preparation: Preparation
    members: "tuple[GlobalForecastingModel, ...]"

    @property
    def model_id(self) -> str:
        """The id of the model, which contains a hash of its manifest."""
        return self.manifest.model_id

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each member."""
        return tuple(member.seed for member in self.manifest.members)

    def of_each(self, forecast: "Callable[[GlobalForecastingModel], Array]") -> dict[str, Forecast]:
        """Return the forecast of each member by its seed; `forecast` has the form of `rolling_forecasts`."""
        return {
            str(record.seed): Forecast.of_quantiles(
                forecast(member), self.manifest.spec.levels, np.asarray(record.to_median)
            )
            for record, member in zip(self.manifest.members, self.members, strict=True)
        }

    def files(self) -> dict[str, bytes]:
        """Return the content of all files but the manifest, by name."""
        weights = {
            record.weights: weights_bytes(model)
            for record, model in zip(self.manifest.members, self.members, strict=True)
        }
        return {PREPARATION_FILE: self.preparation.document().model_dump_json().encode(), **weights}


def choose(best: BestParams, select: Select = "one-se") -> Choice:
    """Return the trial to train: the best one, or the cheapest within one standard error of it.

    If the document has no one-standard-error choice, the best trial is taken, with a note. Raises `UsageError` for a
    study of several assets.
    """
    best.spec.data.refuse_several()
    if select == "one-se" and best.one_se is not None:
        chosen = best.one_se
        return Choice(select="one-se", trial=chosen.trial, params=chosen.params, one_se=chosen)
    note = "the study's file has no one-standard-error choice, so it is the best" if select == "one-se" else None
    return Choice(select="best", trial=best.best_trial, params=best.trial_params, note=note)


def train(
    best: BestParams,
    rows: pd.DataFrame,
    choice: Choice,
    *,
    seeds: int = 3,
    refit: Refit = "inner-validation",
    seed_replication: SeedReplication | None = None,
) -> TrainedModel:
    """Train the chosen parameters on all rows of the study, once for each seed.

    If the seed makes no difference, as in a ridge regression, only one member is kept. `rows` are those of
    `kallos.study.again.study_rows`; with `train_rows`, only the last so many are used. `inner-validation` stops early
    on their last share, as in a fold. `median-epochs` trains on every row for the median of the folds' best epochs, or
    of the `seed_replication` if given. The same arguments give the same model to the bit, on one thread of the same
    kind of machine.

    Raises `DataError` for other rows, `FitError` if the model cannot be built or trained, and `UsageError` if `seeds`
    is below one, or the best epochs of the choice are unknown.
    """
    from kallos.scoring.training import quiet_single_thread

    if seeds < 1:
        raise UsageError(f"`seeds` must be 1 or more, not {seeds}")
    if frame_sha256(rows) != best.data.sha256:
        raise DataError(f"a model must be trained on the rows of its study ({best.data.sha256[:12]}), and these differ")
    spec = best.spec
    first = 0 if spec.folds.train_rows is None else max(len(rows) - spec.folds.train_rows, 0)
    whole = Fold(0, first, len(rows), len(rows), len(rows))
    n_epochs = _median_epochs(best, choice, seed_replication) if refit == "median-epochs" else None
    fit = FitSpec.of(spec, choice.params)
    name = fit.model_name
    cuts = cuts_of_fit(rows.index, (whole,), fit)
    (fit_rows,) = rows_to_fit((whole,), cuts, fit)
    numbers = seeds_from(spec.seed, seeds)
    with quiet_single_thread(), as_fit_errors(name):
        prepared = prepare_fold(rows, whole, spec.features, fit_rows=fit_rows if n_epochs is None else None)
        fitted = [_fit_member(replace(fit, seed=seed), prepared, cuts, n_epochs) for seed in numbers]
    if len(fitted) > 1 and _all_alike(fitted):
        numbers, fitted = numbers[:1], fitted[:1]
    records = tuple(
        MemberRecord(
            seed=seed,
            epochs=each.epochs,
            best_epoch=each.best_epoch,
            to_median=each.to_median.tolist(),
            weights=f"weights-{seed}.safetensors",
        )
        for seed, each in zip(numbers, fitted, strict=True)
    )
    manifest = Manifest(
        asset_id=spec.data.only_asset,
        architecture=name,
        architecture_sha256=get_architecture(name).source_sha256,
        target=spec.features.target,
        horizon=spec.horizon,
        lead=spec.features.lead,
        columns=tuple(rows.columns),
        frequency=find_frequency(rows.index, spec.data.frequency),
        choice=choice,
        seed_replication=seed_replication,
        refit=refit,
        members=records,
        study=best.study,
        data=best.data,
        train_start=timestamp(rows.index[first]),
        holdout_start=best.holdout_start,
        holdout_end=best.holdout_end,
        spec=spec,
        evaluation=EVALUATION_VERSION,
        versions=installed_versions(),
        machine=machine(),
        files={},
    )
    trained = TrainedModel(manifest, prepared.preparation, tuple(each.model for each in fitted))
    files = {name: FileRecord.of(content) for name, content in trained.files().items()}
    return replace(trained, manifest=manifest.model_copy(update={"files": files}).named())


def _all_alike(fitted: Sequence[FittedFold]) -> bool:
    import torch

    first, *others = (weights_of(each.model) for each in fitted)
    return all(
        first.keys() == other.keys() and all(torch.equal(first[name], other[name]) for name in first)
        for other in others
    )


def _median_epochs(best: BestParams, choice: Choice, seed_replication: SeedReplication | None) -> int:
    if seed_replication is not None:
        return max(seed_replication.median_epoch, 1)
    if choice.trial != best.best_trial:
        raise UsageError(
            f"median-epochs needs the epochs of trial {choice.trial}, and the study's file has only those of its best "
            f"trial ({best.best_trial}): replicate the choice with several seeds, or use inner-validation"
        )
    return max(round(float(pd.Series([fold.best_epoch for fold in best.folds]).median())), 1)


def _fit_member(fit: FitSpec, prepared: PreparedFold, cuts: Sequence[InnerCut], n_epochs: int | None) -> FittedFold:
    """Fit a member with early stopping, or on every row for a given number of epochs."""
    if n_epochs is None:
        fitted = fit_prepared((prepared,), cuts, fit)
    else:
        fitted = fit_every_row((prepared,), cuts, fit, n_epochs=n_epochs)
    if not all(bool(each.isfinite().all()) for each in weights_of(fitted.model).values()):
        raise FitError(f"trained weights must be finite, and those of {fit.model_name} with seed {fit.seed} are not")
    return fitted
