"""Several assets in one study: folds by date across all of them, one model, a score for each."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kallos.checks import examine_together
from kallos.errors import DataError, UsageError
from kallos.features.snapshots import read_snapshot
from kallos.folds.panel import Panel, inner_cuts
from kallos.folds.study import cut_panel
from kallos.models.trainer import choose
from kallos.planning import StudyPlan, plan_study
from kallos.report.rows import best_params_markdown
from kallos.scoring.fold import evaluate_fold, fit_fold, forecasts_of
from kallos.scoring.job import FoldJob
from kallos.specs.baselines import DEFAULT_BASELINES, RIDGE
from kallos.specs.grid import parse_grid
from kallos.specs.study import FoldSpec, TuneSpec
from kallos.study.again import plan_again
from kallos.study.best_params import BestParams
from kallos.study.names import BEST_PARAMS, artifact_key, latest_name
from kallos.tuner import run_tuning
from tests.samples import content_of, evaluated, make_features, score_of, small_spec

DAILY = make_features(420, seed=1)
# A market that is closed at weekends, whose rows begin later, and whose target is ten times the size.
WORKDAYS = make_features(360, seed=2, start="2020-03-02").assign(log_return_close=lambda rows: 10 * rows.iloc[:, 0])
WORKDAYS = WORKDAYS[WORKDAYS.index.dayofweek < 5]


def panel_spec(**over) -> TuneSpec:
    return small_spec(**{"data": {"asset_id": ["DAY", "WORK"]}, "model_name": "ridge", **over})


def panel_plan(folder, day: pd.DataFrame = DAILY, work: pd.DataFrame = WORKDAYS, **over) -> StudyPlan:
    return plan_study(pd.concat({"DAY": day, "WORK": work}), panel_spec(**over), str(folder))


def panel_job(folder, day: pd.DataFrame = DAILY, work: pd.DataFrame = WORKDAYS, **over) -> FoldJob:
    plan = panel_plan(folder, day, work, **over)
    return plan.trial_jobs(0, plan.space.defaults(plan.spec.model_name))[-1]


def timestamps_of(job: FoldJob) -> list[tuple[pd.Index, pd.Index]]:
    """Return the timestamps of each asset's training and validation rows."""
    index = read_snapshot(job.snapshot).index
    return [
        (index[fold.train_start : fold.train_stop], index[fold.validation_start : fold.validation_stop])
        for fold in job.folds
    ]


def test_each_asset_is_scored_on_all_of_its_rows_between_the_same_dates(tmp_path):
    job = panel_job(tmp_path, folds={"n_folds": 1, "window": "quarter"})
    (_, day), (_, work) = timestamps_of(job)
    first, last = pd.Timestamp("2020-10-01"), pd.Timestamp("2020-12-31")
    pd.testing.assert_index_equal(day, DAILY.loc[first:last].index, exact=False, check_names=False)
    pd.testing.assert_index_equal(work, WORKDAYS.loc[first:last].index, exact=False, check_names=False)


def test_what_trains_was_known_at_the_earliest_origin_of_any_asset(tmp_path):
    # 2021-01-03 is a Sunday: the first row of the market that was closed comes on Monday, forecast on Friday.
    frame = DAILY.loc[:"2021-01-10"], WORKDAYS.loc[:"2021-01-10"]
    job = panel_job(tmp_path, *frame, folds={"n_folds": 1, "window": "week", "holdout": 0})
    (day, validated), (work, _) = timestamps_of(job)
    assert str(validated[0].date()) == "2021-01-04"
    assert (str(day[-1].date()), str(work[-1].date())) == ("2021-01-01", "2021-01-01")


@given(
    seed=st.integers(0, 10_000),
    lead=st.integers(1, 5),
    gap=st.integers(0, 3),
    holdout=st.integers(0, 1),
    train_rows=st.sampled_from([None, 30]),
)
def test_no_asset_trains_on_what_another_ones_first_origin_could_not_know(seed, lead, gap, holdout, train_rows):
    rng = np.random.default_rng(seed)
    days = pd.date_range("2020-01-01", periods=240, freq="D")
    # Each asset begins on a day of its own, and lacks some.
    own = [days[rng.integers(0, 40) :] for _ in range(3)]
    own = [index[np.sort(rng.permutation(len(index))[: int(0.9 * len(index))])] for index in own]
    panel = Panel.of({str(n): pd.DataFrame({"x": 0.0}, index=index) for n, index in enumerate(own)})
    spec = FoldSpec(n_folds=3, window="month", gap=gap, holdout=holdout, train_rows=train_rows)
    grid = panel.cut_folds(spec, lead=lead, frequency="sessions")
    study = panel.before(grid.study_stop)
    assert len(grid.folds) == 3
    for fold in grid.folds:
        folds = study.folds_of(fold)
        validated = [study.frame.index[each.validation_start : each.validation_stop] for each in folds]
        month = study.calendar[fold.validation_start].to_period("M")
        last = study.calendar[-1]
        for index, timestamps in zip(own, validated, strict=True):
            assert list(timestamps) == [each for each in index if each.to_period("M") == month and each <= last]
        origins = [index[index.get_loc(timestamps[0]) - lead] for index, timestamps in zip(own, validated, strict=True)]
        for each in folds:
            train = study.frame.index[each.train_start : each.train_stop]
            assert train[-1] <= min(origins)
            assert train_rows is None or len(train) <= train_rows
            # As many days are left out for the gap as are asked for, and none more.
            known = study.calendar[study.calendar <= min(origins)]
            assert train[-1] <= known[len(known) - 1 - gap]
    if holdout:
        first = panel.calendar[grid.holdout_start]
        origins = [index[index.searchsorted(first) - lead] for index in own]
        assert study.calendar[-1] <= min(origins)


@given(seed=st.integers(0, 10_000), lead=st.integers(1, 4))
def test_what_stops_early_begins_on_the_same_day_for_all_behind_what_fits(seed, lead):
    rng = np.random.default_rng(seed)
    days = pd.date_range("2020-01-01", periods=120, freq="D")
    timestamps = [days[np.sort(rng.permutation(120)[:100])] for _ in range(3)]
    cuts = inner_cuts(timestamps, 0.2, lead=lead, horizon=2)
    inner = [index[cut.inner_start :] for index, cut in zip(timestamps, cuts, strict=True)]
    origins = [index[cut.inner_start - lead] for index, cut in zip(timestamps, cuts, strict=True)]
    first = min(each[0] for each in inner)
    for index, cut in zip(timestamps, cuts, strict=True):
        assert all(each < first for each in index[: cut.inner_start])
        assert index[cut.fit_stop - 1] <= min(origins)
        # Nothing is cut off that could be known.
        assert index[cut.fit_stop] > min(origins)


def test_each_assets_forecasts_are_made_from_what_it_knew(tmp_path):
    job = panel_job(tmp_path, horizon=2)
    fitted, frame = fit_fold(job), read_snapshot(job.snapshot)
    by_asset = []
    for fold, prepared in zip(job.folds, fitted.series, strict=True):
        target, place = frame["log_return_close"].to_numpy(), prepared.fold
        errors = []
        for first in range(place.validation_start, place.validation_stop - 1):
            forecast = fitted.model.predict(
                2, series=prepared.target[:first], past_covariates=prepared.past_covariates[:first], verbose=False
            )
            row = fold.train_start + first
            errors.append(prepared.target_scale.restore(forecast.values())[:, 0] - target[row : row + 2])
        by_asset.append(np.sqrt(np.mean(np.square(errors))) / target[fold.train_start : fold.train_stop].std())
    score = evaluated(job)
    assert score.by_asset == pytest.approx(by_asset, rel=1e-5)
    assert score.rmse == pytest.approx(np.mean(by_asset), rel=1e-5)


def test_one_model_learns_from_the_training_rows_of_all_and_from_no_later_ones(tmp_path):
    job = panel_job(tmp_path)
    fold = job.folds[1]
    last_known = read_snapshot(job.snapshot).index[fold.train_stop - 1]
    earlier, later = WORKDAYS.copy(), WORKDAYS.copy()
    earlier.loc[:last_known, "log_return_close"] *= -1
    later.loc[later.index > last_known] *= 3
    forecasts = {
        name: forecasts_of(each, fit_fold(each))[0].point
        for name, each in {
            "as it is": job,
            "earlier": panel_job(tmp_path, work=earlier),
            "later": panel_job(tmp_path, work=later),
        }.items()
    }
    np.testing.assert_array_equal(forecasts["as it is"], forecasts["later"])
    assert not np.array_equal(forecasts["as it is"], forecasts["earlier"])


def test_baseline_errors_are_in_standard_deviations_of_each_asset_and_their_mean(tmp_path):
    plan = panel_plan(tmp_path)
    (planned, _), frame = plan.folds, read_snapshot(plan.snapshot)["log_return_close"].to_numpy()
    zero, last, mean = [], [], []
    for fold in planned.folds:
        unit = frame[fold.train_start : fold.train_stop].std()
        actual = frame[fold.validation_start : fold.validation_stop]
        zero.append(np.sqrt(np.mean(actual**2)) / unit)
        before = frame[fold.validation_start - 1 : fold.validation_stop - 1]
        last.append(np.sqrt(np.mean((actual - before) ** 2)) / unit)
        known = frame[fold.train_start : fold.validation_start]
        mean.append(np.sqrt(np.mean((actual - known.mean()) ** 2)) / unit)
    window = planned.window
    assert window.baseline_by_asset["zero"] == pytest.approx(zero)
    assert window.baseline_by_asset["last"] == pytest.approx(last)
    assert window.baseline_by_asset["mean"] == pytest.approx(mean)
    assert set(window.baseline_rmse) == {*DEFAULT_BASELINES, RIDGE}
    assert window.baseline_rmse == pytest.approx(
        {name: np.mean(errors) for name, errors in window.baseline_by_asset.items()}
    )


def test_quantiles_of_several_targets_are_forecast_for_each_asset(tmp_path):
    over = {"features": {"target": ["log_return_close", "roc_5"]}, "likelihood": "quantile", "metric": "crps"}
    job = panel_job(tmp_path, model_name="dlinear", **over)
    fitted, score = fit_fold(job), evaluated(job, "crps")
    shapes = [forecast.quantiles.shape for forecast in forecasts_of(job, fitted)]
    assert [shape[1:] for shape in shapes] == [(1, 2, 5), (1, 2, 5)]
    assert score.value == pytest.approx(np.mean(score.by_asset))


def test_a_network_learns_from_all_and_is_the_same_again(tmp_path):
    job = panel_job(tmp_path, model_name="tide")
    first, second = evaluate_fold(job), evaluate_fold(job)
    assert content_of(job, first) == content_of(job, second)
    assert len(score_of(job, first).by_asset) == len(first.assets) == 2


def test_the_result_says_how_each_asset_did(tmp_path):
    result = run_tuning(panel_plan(tmp_path, n_trials=2))
    document = BestParams.of(result).model_dump(mode="json")
    by_asset = {row["name"]: row for row in document["by_asset"]}
    assert list(by_asset) == ["DAY", "WORK"]
    folds = [fold["by_asset"] for fold in document["folds"]]
    assert [by_asset[name]["value"] for name in by_asset] == pytest.approx(np.mean(folds, axis=0))
    assert np.mean([row["value"] for row in by_asset.values()]) == pytest.approx(document["best_value"])
    assert np.mean([row["baseline_value"] for row in by_asset.values()]) == pytest.approx(document["baseline_value"])
    assert "| WORK |" in best_params_markdown(result)


def test_a_finished_study_is_planned_again_as_it_was(tmp_path):
    plan = panel_plan(tmp_path, folds={"holdout": 1})
    result = run_tuning(plan)
    best = BestParams.model_validate_json(BestParams.of(result).model_dump_json())
    again = plan_again(best, read_snapshot(plan.snapshot), plan.snapshot)
    params = best.trial_params
    assert [job.fingerprint for job in again.trial_jobs(0, params)] == [
        job.fingerprint for job in plan.trial_jobs(0, params)
    ]


def test_assets_in_any_order_are_one_study(tmp_path):
    spec = panel_spec(data={"asset_id": ["WORK", "DAY"]})
    assert spec == panel_spec()
    swapped = plan_study(pd.concat({"WORK": WORKDAYS, "DAY": DAILY}), spec, str(tmp_path))
    assert swapped.study_name == panel_plan(tmp_path).study_name


def test_a_list_of_one_asset_is_that_asset():
    assert small_spec(data={"asset_id": ["ABC"]}) == small_spec()


def test_names_of_files_and_studies_tell_assets_apart_and_stay_short(tmp_path):
    many = panel_spec(data={"asset_id": [f"ASSET-{n}" for n in range(100)]})
    few, joined = panel_spec(data={"asset_id": ["A", "B"]}), panel_spec(data={"asset_id": "A+B"})
    specs = (many, panel_spec(data={"asset_id": [f"ASSET-{n}" for n in range(101)]}), few, joined)
    names = [latest_name(spec, BEST_PARAMS) for spec in specs]
    assert names[2] == "ridge_A+B_best_params.json"
    assert len(set(names)) == 4
    assert max(map(len, names)) < 150
    assert len({artifact_key("trials", spec) for spec in specs[:3]}) == 3
    assert max(len(artifact_key("trials", spec)) for spec in specs) < 150


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"data": {"asset_id": []}}, "must be a name or a list of names"),
        ({"data": {"asset_id": ["A", "A"]}}, r"must not repeat a name, as \['A', 'A'\] does"),
        ({"data": {"asset_id": ["A", "B"], "single_asset": True}}, "single_asset allows one asset_id, not 2"),
        ({"features": {"log_return_pca": 0.9}}, "log_return_pca needs a single asset"),
    ],
)
def test_what_several_assets_cannot_have_is_refused(over, said):
    with pytest.raises(ValidationError, match=said):
        panel_spec(**over)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (WORKDAYS.drop(columns="macd"), "WORK: features must be finite, and 1 of 7 columns are not: macd"),
        (WORKDAYS.assign(volume=np.nan), "WORK: features must be finite"),
        (WORKDAYS.loc["2020-12-01":], "WORK: fold 1 needs 31 rows to fit on"),
        (
            WORKDAYS.loc[:"2020-12-01"],
            "WORK: every asset of a model must have rows in every fold, and has none in",
        ),
    ],
)
def test_what_keeps_an_asset_from_being_learnt_from_names_it(tmp_path, work, said):
    with pytest.raises(DataError, match=said) as raised:
        panel_plan(tmp_path, work=work)
    assert "\n" not in str(raised.value)


def test_features_of_one_asset_are_no_panel_of_two(tmp_path):
    with pytest.raises(DataError, match="indexed by asset and timestamp, with rows for each of DAY, WORK"):
        plan_study(DAILY, panel_spec(), str(tmp_path))


def test_what_takes_one_asset_says_so(tmp_path):
    best = BestParams.of(run_tuning(panel_plan(tmp_path, n_trials=1)))
    with pytest.raises(UsageError, match=r"support one asset, and the study has 2 \(DAY, WORK\)"):
        choose(best)
    with pytest.raises(UsageError, match="support one asset"):
        parse_grid({"data": {"asset_id": ["A", "B"]}, "model_name": "ridge"})


def test_folds_follow_each_other(tmp_path):
    plan = panel_plan(tmp_path)
    for before, after in pairwise(plan.folds):
        for one, next_ in zip(before.folds, after.folds, strict=True):
            assert one.validation_stop == next_.validation_start


@pytest.mark.parametrize("shift", [-150, 60])
def test_a_weekday_market_may_begin_before_a_daily_one_and_end_behind_it(tmp_path, shift):
    days = make_features(420, seed=1)
    longer = make_features(700, seed=2, start="2019-08-01")
    work = longer[longer.index.dayofweek < 5].loc[: days.index[-1] + pd.Timedelta(days=4)]
    work = work if shift < 0 else work.loc["2020-03-01":]
    plan = plan_study(
        pd.concat({"DAY": days, "WORK": work}), panel_spec(folds={"n_folds": 2, "window": "month"}), str(tmp_path)
    )
    assert [window.validation_start[:7] for window in plan.windows] == ["2020-12", "2021-01"]


def test_timestamps_at_unlike_hours_share_a_calendar_of_days(tmp_path):
    later = DAILY.copy()
    later.index = later.index + pd.Timedelta(hours=16)
    plan = panel_plan(tmp_path, work=later, folds={"n_folds": 2, "window": "month"})
    day, evening = plan.folds[0].folds
    assert day.validation_stop - day.validation_start == evening.validation_stop - evening.validation_start == 31
    # The last one that trains of the evening's was known when the other's first forecast was made, at midnight before.
    assert day.train_stop - day.train_start == evening.train_stop - evening.train_start + 1


def test_a_study_of_several_assets_is_examined_in_its_own_folds():
    late = DAILY.iloc[160:]
    features = pd.concat({"DAY": DAILY, "LATE": late})
    spec = panel_spec(data={"asset_id": ["DAY", "LATE"]}, folds={"n_folds": 2, "window": 40, "train_rows": 200})
    together = examine_together(features, spec)
    assert together.is_sound
    grid = cut_panel(features, spec).grid
    assert [fold.train_end for fold in together.folds] == [str(DAILY.index[fold.train_stop - 1]) for fold in grid.folds]


def test_an_asset_that_stood_still_for_months_is_named():
    halted = DAILY[(DAILY.index < "2020-06-01") | (DAILY.index > "2020-12-14")]
    spec = panel_spec(
        data={"asset_id": ["DAY", "HALT"], "frequency": "sessions"}, folds={"n_folds": 1, "window": "month"}
    )
    together = examine_together(pd.concat({"DAY": DAILY.loc[:"2020-12-31"], "HALT": halted.loc[:"2020-12-31"]}), spec)
    (finding,) = together.warnings
    assert (finding.fault, finding.asset, finding.timestamps) == ("halted-asset", "HALT", ("2020-05-31 00:00:00",))
    # December begins on day 335 of a leap year, counted from zero, and the last known one is day 151.
    assert f"{335 - 152} timestamps before fold 1" in finding.message


def test_a_target_that_stands_still_where_an_asset_trains_is_named():
    still = WORKDAYS.copy()
    still.loc[:"2020-12-20", "log_return_close"] = 0.0
    together = examine_together(pd.concat({"DAY": DAILY, "WORK": still}), panel_spec())
    assert {(each.fault, each.asset) for each in together.errors} == {("constant-target-in-fold", "WORK")}
