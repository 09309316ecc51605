"""Checks of the promises that every architecture keeps: those of Kallos, and yours.

Each check takes a name as in `model_name` and a folder for its files, and raises `BrokenPromiseError` if the
architecture breaks the promise. With pytest::

    @pytest.mark.parametrize("check", CHECKS)
    def test_my_architecture(check):
        check_architecture("my_models:MINE", (check,))
"""

import io
import logging
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kallos.architectures import Params, create_model, get_architecture
from kallos.architectures.inputs import INPUT
from kallos.architectures.lookup import unsound
from kallos.architectures.space import corners
from kallos.architectures.study_space import study_space
from kallos.errors import DataError, FitError, KallosError, UsageError, require
from kallos.folds.cut import Fold
from kallos.planning import plan_study
from kallos.scoring.fold import FittedFold, evaluate_fold, fit_fold, forecasts_of, model_of_fit
from kallos.scoring.job import FoldJob
from kallos.scoring.score import FoldScore, Scorer
from kallos.scoring.training import quiet_single_thread
from kallos.scoring.weights import restore_weights, weights_bytes
from kallos.specs.metrics import RMSE
from kallos.specs.study import TuneSpec, parse_tune_spec

Array = npt.NDArray[np.float64]

_HORIZON = 3
_QUANTILES = (0.1, 0.5, 0.9)
_NORM = "use_reversible_instance_norm"


class BrokenPromiseError(KallosError):
    """An architecture breaks a promise."""


def check_architecture(name: str, checks: "tuple[Check, ...] | None" = None) -> None:
    """Run all checks, or the given ones, on an architecture, which takes seconds.

    Raises `BrokenPromiseError`, whose first line names the first broken promise, and `UsageError` if there is no such
    architecture.
    """
    require(str, name=name)
    require((tuple, list, type(None)), checks=checks)
    get_architecture(name)
    for check in checks or CHECKS:
        with tempfile.TemporaryDirectory(prefix="kallos-contracts-") as folder:
            try:
                with _quiet():
                    check(name, folder)
            except Exception as error:
                kind = "" if isinstance(error, BrokenPromiseError) else f"{type(error).__name__}: "
                promise = check.__name__.replace("_", " ")
                raise BrokenPromiseError(f"{name} breaks a promise, {promise!r}: {kind}{str(error).strip()}") from error


def every_draw_is_a_full_set_of_plain_values(name: str, folder: str) -> None:
    """Draws have the names and types of the defaults, and parameters are drawn before those that depend on them."""
    architecture = get_architecture(name)
    message = unsound(architecture)
    _must(message is None, f"an architecture {message}")
    types = {parameter: type(default) for parameter, default in architecture.defaults.items()}
    for drawn in corners(architecture.space):
        wrong = {key: drawn[key] for key, kind in types.items() if type(drawn[key]) is not kind}
        _must(not wrong, f"drawn values must have the types of the defaults, and {wrong} do not")
    # A study file may fix the defaults.
    study_space(name, {name: dict(architecture.defaults)})


def every_corner_of_the_space_builds(name: str, folder: str) -> None:
    """A model can be built from the lowest and highest values and from each choice."""
    for drawn in _corner_params(name):
        create_model(name, drawn, horizon=_HORIZON)


def both_ends_of_the_space_fit(name: str, folder: str) -> None:
    """The smallest and the largest model train for an epoch and forecast."""
    _fit_each(name, folder, _corner_params(name)[:2])


def every_corner_of_the_space_fits(name: str, folder: str) -> None:
    """The model of every choice trains for an epoch and forecasts; not in `CHECKS`, because it is slow."""
    _fit_each(name, folder, _corner_params(name)[2:])


def _fit_each(name: str, folder: str, corner_params: list[dict[str, Any]]) -> None:
    job = _job(name, folder)
    for drawn in corner_params:
        rmse = _score(replace(job, fit=replace(job.fit, params=drawn))).rmse
        _must(math.isfinite(rmse), f"the error of a model must be a number, and is {rmse} with {drawn}")


def the_same_job_has_the_same_score_to_the_bit(name: str, folder: str) -> None:
    """A score depends only on its job."""
    job = _job(name, folder)
    first, again = _score(job).rmse, _score(job).rmse
    _must(first == again, f"two fits with one seed must have one score, not {first} and {again}: use context.seed")


def forecasts_keep_to_the_horizon_and_see_no_future(name: str, folder: str) -> None:
    """Rows after an origin change neither the weights nor the forecast made there, with and without a label horizon.

    The same holds with reversible instance normalisation, if the architecture has it.
    """
    norms = (False, True) if _NORM in get_architecture(name).defaults else (None, None)
    for label_horizon, norm in zip((0, 3), norms, strict=True):
        over = {"features": {"label_horizon": label_horizon}}
        fixed = {} if norm is None else {_NORM: norm}
        job, frame = _job(name, folder, fixed=fixed, **over), _frame()
        changed = frame.copy()
        changed.iloc[label_horizon + job.folds[0].validation_start + 10 :] *= 2
        other = _job(name, folder, changed, fixed=fixed, **over)
        fitted = fit_fold(job)
        before, after = _forecast(job, fitted), _forecast(other, fit_fold(other))
        n_origins = job.folds[0].validation_stop - job.folds[0].validation_start - _HORIZON + 1
        _must(before.shape == (n_origins, _HORIZON, 1), "each origin must have a forecast of the whole horizon")
        # The first changed row is the tenth of the window, and no earlier origin knows it.
        n_same = 10 + max(label_horizon, 1)
        _must(np.array_equal(before[:n_same], after[:n_same]), "a forecast must not depend on rows after its origin")
        _must(not np.array_equal(before, after), "a forecast must depend on what is known at its origin")
        # A forecast needs only the rows that are known at the origin.
        (prepared,) = fitted.series
        assert prepared.past_covariates is not None
        known = slice(0, prepared.fold.validation_start - job.fit.lead + 1)
        alone = fitted.model.predict(
            _HORIZON, series=prepared.target[known], past_covariates=prepared.past_covariates[known], verbose=False
        )
        alone = prepared.target_scale.restore(alone.values())
        _must(
            np.allclose(before[0], alone, rtol=1e-3, atol=1e-6),
            f"a forecast must need only what is known at its origin: it is {before[0]}, but {alone} from that alone",
        )


def covariates_move_forecasts(name: str, folder: str) -> None:
    """Forecasts depend on the covariates; those of a local architecture do not."""
    frame = _frame()
    other = frame.assign(rsi_14=frame["rsi_14"].to_numpy()[::-1])
    same = _score(_job(name, folder, frame)).rmse == _score(_job(name, folder, other)).rmse
    if get_architecture(name).is_local:
        _must(same, "other covariates must not change the forecasts of a local architecture: set is_local = False")
    else:
        _must(not same, "other covariates must change the forecasts")


def what_is_known_ahead_moves_the_forecasts_of_its_own_row(name: str, folder: str) -> None:
    """A column that is known ahead is read up to the last row of a forecast, and no row further.

    A local architecture does not read it.
    """
    for label_horizon in (0, 3):
        frame = _frame().assign(known_event=np.random.default_rng(1).integers(0, 2, 200).astype(float))
        # The label of a row is known `label_horizon` rows later, and is forecast from the event of that row.
        frame["log_return_close"] += 0.05 * frame["known_event"].shift(-label_horizon, fill_value=0)
        features = {"label_horizon": label_horizon, "known_future": ["known_event"]}
        job = _job(name, folder, frame, features=features)
        row = job.folds[0].validation_start + 10
        changed, place = frame.copy(), frame.index[label_horizon + row]
        changed.loc[place, "known_event"] = 1 - frame.loc[place, "known_event"]
        fitted = fit_fold(job)
        before = _forecast(job, fitted)
        after = _forecast(job, replace(fitted, series=fit_fold(_job(name, folder, changed, features=features)).series))
        # The window's 10th row is the last step of the forecast that begins `horizon` - 1 rows earlier.
        first = 10 - (_HORIZON - 1)
        _must(np.array_equal(before[:first], after[:first]), "a forecast must not read a column beyond its last row")
        _must(
            get_architecture(name).is_local or not np.array_equal(before[first], after[first]),
            "a forecast must read the columns that are known ahead up to its last row: see `context.widths.known`",
        )


def a_target_without_covariates_is_enough(name: str, folder: str) -> None:
    """A table with only the target can be tuned."""
    rmse = _score(_job(name, folder, _frame()[["log_return_close"]])).rmse
    _must(math.isfinite(rmse), f"the error must be a number, and is {rmse}")


def it_learns_from_several_assets(name: str, folder: str) -> None:
    """One model is fitted on two assets with different numbers of rows, and scored on each; a local one is refused."""
    frame = _frame()
    both = pd.concat({"ABC": frame, "XYZ": frame.iloc[30:] * 3})
    if get_architecture(name).is_local:
        with _raises(UsageError, "forecasts each series alone"):
            parse_tune_spec({"model_name": name, "data": {"asset_id": ["ABC", "XYZ"]}})
        return
    job = _job(name, folder, both, data={"asset_id": ["ABC", "XYZ"]})
    score = _score(job)
    _must(all(map(math.isfinite, score.by_asset)), "the error of each asset must be a number")
    _must(score.rmse == _score(job).rmse, "two fits with one seed must have one score")


def it_saves_and_loads(name: str, folder: str) -> None:
    """A model that is restored from its bytes makes the same forecasts, bit for bit."""
    job = _job(name, folder)
    _refuse_other_forecasts_when_loaded(job, fit_fold(job))


def its_quantiles_are_those_that_it_was_asked_for(name: str, folder: str) -> None:
    """Each forecast has the study's quantiles, also when loaded; an architecture without them is refused.

    They are in order, but those of a network that has hardly been trained may cross.
    """
    asked: dict[str, Any] = {"likelihood": "quantile", "quantiles": _QUANTILES}
    if not get_architecture(name).learns_quantiles:
        with _raises(UsageError, "likelihood 'quantile' needs other models"):
            parse_tune_spec({"model_name": name, "data": {"asset_id": "ABC"}, **asked})
        return
    job = _job(name, folder, **asked)
    fitted = fit_fold(job)
    (forecast,) = forecasts_of(job, fitted)
    shape = (*forecast.point.shape, len(_QUANTILES))
    _must(forecast.quantiles.shape == shape, f"quantiles must have the shape {shape}, not {forecast.quantiles.shape}")
    _must(bool(np.isfinite(forecast.quantiles).all()), "quantiles must be numbers")
    in_order = bool((np.diff(forecast.quantiles) >= 0).all())
    _must(in_order or get_architecture(name).stops_early, "a higher quantile must not be below a lower one")
    _refuse_other_forecasts_when_loaded(job, fitted)


def _refuse_other_forecasts_when_loaded(job: FoldJob, fitted: FittedFold) -> None:
    widths = fitted.series[0].preparation.widths
    (before,) = forecasts_of(job, fitted)
    loaded = model_of_fit(replace(job.fit, seed=job.fit.seed + 1), widths, max_epochs=0)
    with quiet_single_thread():
        restore_weights(loaded, weights_bytes(fitted.model), widths, "a model")
    (after,) = forecasts_of(job, replace(fitted, model=loaded))
    _must(
        np.array_equal(before.quantiles, after.quantiles), "a model that was saved and loaded must forecast as before"
    )


def too_few_rows_are_refused_in_one_line(name: str, folder: str) -> None:
    """A study with too few rows is refused before its first fit, and a fit with too few rows says so."""
    with _raises(DataError, "training rows"):
        _job(name, folder, _frame(32), folds={"n_folds": 1, "window": 12})
    job = _job(name, folder)
    # One row less than a single sample needs.
    too_few = Fold(1, 0, job.fit.params[INPUT] + _HORIZON - 1, 160, 200)
    with _raises(FitError, "cannot be fitted"):
        evaluate_fold(replace(job, folds=(too_few,)))


def a_parameter_that_it_does_not_have_is_refused(name: str, folder: str) -> None:
    """An error about a misspelt parameter names the closest one."""
    with _raises(UsageError, f"{name} has no parameter 'input_chunk_lenght': did you mean '{INPUT}'"):
        create_model(name, {"input_chunk_lenght": 3})


Check = Callable[[str, str], None]
CHECKS: tuple[Check, ...] = (
    every_draw_is_a_full_set_of_plain_values,
    every_corner_of_the_space_builds,
    both_ends_of_the_space_fit,
    the_same_job_has_the_same_score_to_the_bit,
    forecasts_keep_to_the_horizon_and_see_no_future,
    covariates_move_forecasts,
    what_is_known_ahead_moves_the_forecasts_of_its_own_row,
    a_target_without_covariates_is_enough,
    it_learns_from_several_assets,
    it_saves_and_loads,
    its_quantiles_are_those_that_it_was_asked_for,
    too_few_rows_are_refused_in_one_line,
    a_parameter_that_it_does_not_have_is_refused,
)


def _score(job: FoldJob) -> FoldScore:
    """Return a job's score by RMSE."""
    return Scorer.by(RMSE, job.fit.features.variance_powers).score(evaluate_fold(job), job.fingerprint)


def _corner_params(name: str) -> list[dict[str, Any]]:
    architecture = get_architecture(name)
    return [{key: drawn[key] for key in architecture.defaults} for drawn in corners(architecture.space)]


def _job(
    name: str, folder: str, frame: pd.DataFrame | None = None, *, fixed: Params | None = None, **over: Any
) -> FoldJob:
    """Return a fold job of a small study of one epoch, with an architecture's defaults and the fixed parameters."""
    spec = TuneSpec.model_validate(
        {
            "model_name": name,
            "data": {"asset_id": "ABC"},
            "folds": {"n_folds": 1, "window": 40},
            "training": {"max_epochs": 1},
            "horizon": _HORIZON,
            **over,
        }
    )
    plan = plan_study(_frame() if frame is None else frame, spec, folder)
    return plan.trial_jobs(0, {**plan.space.defaults(name), **(fixed or {})})[0]


def _forecast(job: FoldJob, fitted: FittedFold) -> Array:
    (forecast,) = forecasts_of(job, fitted)
    return forecast.point


def _frame(n_rows: int = 200) -> pd.DataFrame:
    """Return daily rows with a target that depends weakly on one of its covariates."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=n_rows)
    return pd.DataFrame(
        {
            "log_return_close": 0.01 * (np.r_[0.0, signal[:-1]] + rng.normal(size=n_rows)),
            "log_return_open": 0.01 * signal,
            "volume": np.exp(rng.normal(10, 1, n_rows)),
            "rsi_14": rng.uniform(0, 100, n_rows),
        },
        index=pd.date_range("2020-01-01", periods=n_rows, freq="D", name="timestamp", unit="ns"),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what libraries print, log and warn about: a failing check explains itself."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextmanager
def _raises(kind: type[KallosError], message: str) -> Iterator[None]:
    raised = ""
    try:
        yield
    except kind as error:
        raised = str(error)
    _must(bool(raised), f"a {kind.__name__} with {message!r} must be raised")
    _must(message in raised, f"an error must contain {message!r}, and it is {raised!r}")
    _must("\n" not in raised, "an error must be one line")


def _must(holds: bool, rule: str) -> None:
    # Not an `assert`, because Python may skip those.
    if not holds:
        raise BrokenPromiseError(rule)
