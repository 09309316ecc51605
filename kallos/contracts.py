"""What every architecture keeps to, as checks that run on any: those of Kallos, and yours.

Each check takes a name as `--model-name` does and a folder for its files, and raises `AssertionError` where the
architecture breaks it. With pytest::

    @pytest.mark.parametrize("check", CHECKS)
    def test_my_architecture(check, tmp_path):
        check("my_models:MINE", str(tmp_path))
"""

import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from kallos.architectures import create_model, get_architecture
from kallos.architectures.inputs import INPUT
from kallos.architectures.space import corners, misplaced
from kallos.architectures.study_space import study_space
from kallos.errors import DataError, FitError, KallosError, UsageError
from kallos.folds import Fold
from kallos.planning import plan_study
from kallos.scoring import FoldJob, evaluate_fold, fit_fold, forecast_fold
from kallos.specs import TuneSpec

_HORIZON = 3


def check_architecture(name: str, checks: "tuple[Check, ...] | None" = None) -> None:
    """Run all checks on an architecture, or those given; raises `AssertionError` at the first that fails."""
    for check in checks or CHECKS:
        with tempfile.TemporaryDirectory(prefix="kallos-contracts-") as folder:
            check(name, folder)


def every_draw_is_a_full_set_of_plain_values(name: str, folder: str) -> None:
    """What is drawn has the names and types of the defaults, and what is looked at is drawn before."""
    architecture = get_architecture(name)
    assert INPUT in architecture.space, f"the space of {name} must draw {INPUT}"
    assert architecture.defaults.keys() <= architecture.space.keys(), "each default must have its place in the space"
    assert misplaced(architecture.space) is None, "a condition and a product must look at what is drawn before them"
    types = {parameter: type(default) for parameter, default in architecture.defaults.items()}
    for drawn in corners(architecture.space):
        wrong = {key: drawn[key] for key, kind in types.items() if type(drawn[key]) is not kind}
        assert not wrong, f"drawn values must have the types of the defaults, and {wrong} have not"
    # As a study file would fix them.
    study_space(name, {name: dict(architecture.defaults)})


def every_corner_of_the_space_builds(name: str, folder: str) -> None:
    """A model can be made of the lowest and highest values and of each choice, with callbacks of its own."""
    for drawn in _corner_params(name):
        made: list[list[Any]] = []
        create_model(name, drawn, horizon=_HORIZON, make_callbacks=lambda made=made: made.append([]) or made[-1])  # type: ignore[misc]
        assert len(made) == 1, "a model must be made with callbacks of its own"


def both_ends_of_the_space_fit(name: str, folder: str) -> None:
    """The smallest and the largest model train for an epoch, and forecast."""
    for drawn in _corner_params(name)[:2]:
        assert math.isfinite(evaluate_fold(replace(_job(name, folder), params=drawn)).rmse)


def every_corner_of_the_space_fits(name: str, folder: str) -> None:
    """The model of every choice trains for an epoch, and forecasts: not one of `CHECKS`, since it takes its time."""
    for drawn in _corner_params(name)[2:]:
        assert math.isfinite(evaluate_fold(replace(_job(name, folder), params=drawn)).rmse), drawn


def the_same_job_has_the_same_score_to_the_bit(name: str, folder: str) -> None:
    """Nothing but the job moves its score."""
    job = _job(name, folder)
    assert evaluate_fold(job).rmse == evaluate_fold(job).rmse


def forecasts_keep_to_the_horizon_and_see_no_future(name: str, folder: str) -> None:
    """Rows behind an origin move neither the weights nor the forecasts made there, with a label ahead or without."""
    for label_horizon in (0, 3):
        over = {"features": {"label_horizon": label_horizon}}
        job, frame = _job(name, folder, **over), _frame()
        changed = frame.copy()
        changed.iloc[label_horizon + job.fold.validation_start + 10 :] *= 2
        other = _job(name, folder, changed, **over)
        fitted = fit_fold(job)
        before, after = forecast_fold(job, fitted), forecast_fold(other, fit_fold(other))
        n_origins = job.fold.validation_stop - job.fold.validation_start - _HORIZON + 1
        assert before.shape == (n_origins, _HORIZON), "there must be a forecast of the horizon from each origin"
        # The first changed row is the tenth of the window, and known to no origin before it.
        n_same = 10 + max(label_horizon, 1)
        np.testing.assert_array_equal(before[:n_same], after[:n_same], "a forecast must not see behind its origin")
        assert not np.array_equal(before, after), "a forecast must see what is known at its origin"
        # What is known at the origin, and not a row more, is all that a forecast needs.
        prepared = fitted.prepared
        assert prepared.past_covariates is not None
        known = slice(0, prepared.fold.validation_start - job.features.lead + 1)
        alone = fitted.model.predict(
            _HORIZON, series=prepared.target[known], past_covariates=prepared.past_covariates[known], verbose=False
        )
        alone = prepared.target_scale.restore(alone.values()[:, 0])
        np.testing.assert_allclose(before[0], alone, rtol=1e-3, atol=1e-6)


def covariates_move_forecasts(name: str, folder: str) -> None:
    """What the covariates say at an origin is heard."""
    frame = _frame()
    other = frame.assign(rsi_14=frame["rsi_14"].to_numpy()[::-1])
    first, second = _job(name, folder, frame), _job(name, folder, other)
    assert evaluate_fold(first).rmse != evaluate_fold(second).rmse


def a_target_without_covariates_is_enough(name: str, folder: str) -> None:
    """A table of the target alone can be tuned."""
    assert math.isfinite(evaluate_fold(_job(name, folder, _frame()[["log_return_close"]])).rmse)


def it_learns_from_several_assets(name: str, folder: str) -> None:
    """One model is fitted on the rows of two assets, of unlike length, and scored on each of them."""
    frame = _frame()
    both = pd.concat({"ABC": frame, "XYZ": frame.iloc[30:] * 3})
    job = _job(name, folder, both, data={"asset_id": ["ABC", "XYZ"]})
    score = evaluate_fold(job)
    assert score.by_asset is not None
    assert all(math.isfinite(error) for error in score.by_asset)
    assert score.rmse == evaluate_fold(job).rmse


def too_few_rows_are_refused_in_one_line(name: str, folder: str) -> None:
    """A study of too few rows is refused before its first fit, and a fit of too few says so itself."""
    with _raises(DataError, "training rows"):
        _job(name, folder, _frame(32), folds={"n_folds": 1, "step": 12})
    job = _job(name, folder)
    # One row less than a single sample takes.
    too_few = Fold(1, 0, job.params[INPUT] + _HORIZON - 1, 160, 200)
    with _raises(FitError, "cannot be fitted"):
        evaluate_fold(replace(job, fold=too_few))


def a_parameter_that_it_does_not_have_is_refused(name: str, folder: str) -> None:
    """A typo is answered with the nearest parameter."""
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
    a_target_without_covariates_is_enough,
    it_learns_from_several_assets,
    too_few_rows_are_refused_in_one_line,
    a_parameter_that_it_does_not_have_is_refused,
)


def _corner_params(name: str) -> list[dict[str, Any]]:
    architecture = get_architecture(name)
    return [{key: drawn[key] for key in architecture.defaults} for drawn in corners(architecture.space)]


def _job(name: str, folder: str, frame: pd.DataFrame | None = None, **over: Any) -> FoldJob:
    """Return the job of an architecture's defaults on a small study, one epoch long."""
    spec = TuneSpec.model_validate(
        {
            "model_name": name,
            "data": {"asset_id": "ABC"},
            "folds": {"n_folds": 1, "step": 40},
            "training": {"max_epochs": 1},
            "horizon": _HORIZON,
            **over,
        }
    )
    plan = plan_study(_frame() if frame is None else frame, spec, folder)
    return plan.trial_jobs(0, plan.space.defaults(name))[0]


def _frame(n_rows: int = 200) -> pd.DataFrame:
    """Return so many days of a target that follows one of its covariates a little."""
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
def _raises(kind: type[KallosError], said: str) -> Iterator[None]:
    raised = ""
    try:
        yield
    except kind as error:
        raised = str(error)
    assert raised, f"a {kind.__name__} must be raised that says {said!r}"
    assert said in raised, f"an error must say {said!r}, and it says {raised}"
    assert "\n" not in raised, "an error must be one line"
