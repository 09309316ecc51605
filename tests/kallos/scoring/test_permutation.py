import math
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallos.architectures import get_architecture
from kallos.errors import FitError
from kallos.features.snapshots import read_snapshot
from kallos.folds.groups import ColumnGroup, column_groups
from kallos.planning import StudyPlan
from kallos.scoring.permutation import PermutedFold, block_length, block_order, parts_of, permuted_errors
from kallos.scoring.score import Scorer
from kallos.workers.processes import FoldPool
from tests.samples import evaluated, make_features, small_plan

RIDGE = {"model_name": "ridge", "features": {"target": "y"}}
SHORT = {"input_chunk_length": 5, "covariate_lags": 1}


def table(columns: dict[str, np.ndarray]) -> pd.DataFrame:
    index = pd.date_range("2020-01-01", periods=len(columns["y"]), name="timestamp", unit="ns")
    return pd.DataFrame(columns, index=index)


def groups_of(plan: StudyPlan) -> tuple[ColumnGroup, ...]:
    return column_groups(read_snapshot(plan.snapshot), plan.spec.features)


def job_of(plan: StudyPlan, fold: int = 0, **params):
    defaults = get_architecture(plan.spec.model_name).defaults
    return plan.trial_jobs(0, {**defaults, **params})[fold]


def permuted(plan: StudyPlan, **params) -> PermutedFold:
    return permuted_errors(job_of(plan, **params), groups_of(plan), Scorer.of(plan.spec))


def increases(plan: StudyPlan, **params) -> dict[str, float]:
    """The mean increase with each group permuted on the first fold, as a share of the error."""
    found = permuted(plan, **params)
    shares = found.increases.mean(axis=1) / found.errors.mean()
    return {group.name: float(share) for group, share in zip(groups_of(plan), shares, strict=True)}


@given(n_blocks=st.integers(2, 40), length=st.integers(1, 30), rest=st.integers(0, 29), seed=st.integers(0, 2**16))
def test_each_block_keeps_its_inner_order_and_takes_the_place_of_another(n_blocks, length, rest, seed):
    rest %= length
    order = block_order(n_blocks * length + rest, length, np.random.default_rng(seed))
    assert sorted(order) == list(range(n_blocks * length + rest))
    assert order[:rest].tolist() == list(range(rest))
    blocks = order[rest:].reshape(n_blocks, length)
    assert (np.diff(blocks, axis=1) == 1).all()
    assert (np.abs(order[rest:] - np.arange(rest, len(order))) >= length).all()


@given(n_rows=st.integers(2, 5000), look_back=st.integers(1, 300), reach=st.integers(1, 60))
def test_a_block_is_as_long_as_what_a_forecast_reads_and_a_multiple_of_no_season(n_rows, look_back, reach):
    length = block_length(n_rows, look_back, reach)
    assert length >= max(look_back, reach, math.isqrt(n_rows))
    assert all(length % season for season in (2, 5, 7, 12, 24, 252, 365))
    # The next such number is never far.
    assert length < max(look_back, reach, math.isqrt(n_rows), 2) + 10


def test_the_errors_as_they_are_are_those_of_the_fold(tmp_path):
    plan = small_plan(tmp_path, folds={"window": 60}, metric="mae")
    found = permuted(plan)
    # 60 origins are cut into four parts of 15.
    assert found.errors.shape == (4,)
    assert found.errors.mean() == pytest.approx(evaluated(job_of(plan), "mae").value, rel=1e-12)


@pytest.mark.parametrize(("origins", "reach", "parts"), [(365, 1, 4), (60, 1, 4), (44, 1, 2), (90, 20, 2), (10, 1, 1)])
def test_a_window_has_few_parts_if_it_is_short_or_errors_overlap(origins, reach, parts):
    assert parts_of(origins, reach) == parts


def test_the_increase_is_what_a_permuted_column_of_a_linear_rule_must_cost(tmp_path):
    random = np.random.default_rng(1)
    x, noise = random.normal(size=3000), 0.5 * random.normal(size=3000)
    frame = table({"y": 0.8 * np.roll(x, 1) + noise, "x": x, "other": random.normal(size=3000)})
    plan = small_plan(tmp_path, frame, folds={"window": 800}, **RIDGE)
    shares = increases(plan, alpha=0.01, **SHORT)
    # Another value of x in place of the true one adds 0.8 (x' - x) to the error, of variance 2 * 0.64.
    assert shares["x"] == pytest.approx(math.sqrt(0.25 + 2 * 0.64) / 0.5 - 1, rel=0.1)
    assert abs(shares["other"]) < 0.01
    assert abs(shares["y"]) < 0.01


def test_what_a_target_is_compared_with_is_never_permuted(tmp_path):
    random = np.random.default_rng(2)
    y = np.zeros(3000)
    for row in range(1, 3000):
        y[row] = 0.5 * y[row - 1] + random.normal()
    frame = table({"y": y, "x": random.normal(size=3000)})
    plan = small_plan(tmp_path, frame, folds={"window": 800}, **RIDGE)
    # Forecasts from another past err by 0.5 (y' - y) more, of variance 2 * 0.25 / (1 - 0.25).
    must = math.sqrt(1 + 2 * 0.25 / (1 - 0.25)) - 1
    assert increases(plan, alpha=0.01, **SHORT)["y"] == pytest.approx(must, rel=0.15)


@pytest.mark.parametrize("model_name", ["ridge", "nlinear"])
def test_a_column_that_is_known_ahead_is_permuted_where_it_is_read(tmp_path, model_name):
    random = np.random.default_rng(3)
    event, x = random.normal(size=700), random.normal(size=700)
    frame = table({"y": event + 0.3 * random.normal(size=700), "event": event, "x": x})
    features = {"target": "y", "known_future": ["event"], "calendar": ["weekday"]}
    over = {"training": {"max_epochs": 30}, "folds": {"window": 100}, "horizon": 2}
    params = {"lr": 0.01} if model_name == "nlinear" else {"alpha": 1.0}
    shares = increases(small_plan(tmp_path, frame, model_name=model_name, features=features, **over), **params)
    assert shares["event"] > 0.3
    assert all(abs(share) < 0.05 for name, share in shares.items() if name not in ("event", "y"))


@pytest.mark.parametrize("as_calendar", [True, False])
def test_a_weekly_pattern_does_not_survive_its_blocks(tmp_path, as_calendar):
    random = np.random.default_rng(4)
    is_monday = (np.arange(900) % 7 == 0).astype(float)
    frame = table({"y": 3 * is_monday + random.normal(size=900), "monday_tomorrow": np.roll(is_monday, -1)})
    frame.index = pd.date_range("2019-12-30", periods=900, name="timestamp", unit="ns")
    features = {"target": "y", **({"calendar": ["weekday"], "exclude": ["monday_tomorrow"]} if as_calendar else {})}
    plan = small_plan(tmp_path, frame, model_name="ridge", folds={"window": 140}, features=features)
    # With an input of seven rows the pattern could be read from the target, too.
    shares = increases(plan, input_chunk_length=1, covariate_lags=1, alpha=1.0)
    assert shares["calendar: weekday" if as_calendar else "monday_tomorrow"] > 0.3


def test_a_model_that_reads_the_target_alone_loses_nothing_without_other_columns(tmp_path):
    plan = small_plan(tmp_path, model_name="har", folds={"window": 60})
    found = permuted(plan, covariates=False)
    assert groups_of(plan)[0].name == "log_return_close"
    assert found.increases[0].any()
    assert not found.increases[1:].any()


def test_the_past_of_one_target_may_matter_to_another(tmp_path):
    random = np.random.default_rng(5)
    leader = random.normal(size=800)
    frame = table({"y": np.roll(leader, 1) + 0.5 * random.normal(size=800), "leader": leader, "x": leader[::-1]})
    plan = small_plan(tmp_path, frame, model_name="ridge", folds={"window": 150}, features={"target": ["y", "leader"]})
    shares = increases(plan, **SHORT)
    assert shares["leader"] > 0.1 > max(abs(shares["y"]), abs(shares["x"]))


def test_each_asset_of_a_model_has_orders_of_its_own(tmp_path):
    frame = pd.concat({"ABC": make_features(400), "XYZ": make_features(400, seed=1)}, names=["asset"])
    over = {"model_name": "ridge", "data": {"asset_id": ["ABC", "XYZ"]}, "folds": {"window": 60}}
    shares = increases(small_plan(tmp_path, frame, **over), **SHORT)
    assert shares["log_return_open"] > 0.1
    assert all(abs(share) < 0.05 for name, share in shares.items() if name != "log_return_open")


def test_a_metric_that_cannot_score_permuted_forecasts_says_so(tmp_path):
    random = np.random.default_rng(6)
    x = np.exp(2 * random.normal(size=500))
    frame = table({"y": 0.01 + np.roll(x, 1), "x": x})
    over = {"metric": "qlike", "baselines": ["mean", "last"]}
    plan = small_plan(tmp_path, frame, folds={"window": 60}, **RIDGE, **over)
    with pytest.raises(FitError, match="forecasts must be positive with metric qlike"):
        permuted(plan, **SHORT)


def test_the_order_of_the_groups_and_the_process_change_no_bit(tmp_path):
    plan = small_plan(tmp_path, model_name="nlinear", folds={"window": 60})
    jobs, groups, scorer = [job_of(plan, fold) for fold in (0, 1)], groups_of(plan), Scorer.of(plan.spec)
    here = [permuted_errors(job, groups, scorer, 2) for job in jobs]
    backwards = permuted_errors(jobs[0], groups[::-1], scorer, 2)
    assert backwards.increases[::-1].tolist() == here[0].increases.tolist()
    with FoldPool(1) as pool:
        work = partial(permuted_errors, groups=groups, scorer=scorer, repeats=2)
        there = [pool.run(work, job) for job in jobs]
    for one, other in zip(here, there, strict=True):
        assert one.errors.tolist() == other.errors.tolist()
        assert one.increases.tolist() == other.increases.tolist()
