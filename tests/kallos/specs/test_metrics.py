import math
import subprocess
import sys

import pytest

from kallos.errors import UsageError
from kallos.specs.metrics import (
    BUILT_IN,
    OBJECTIVES,
    check_metric,
    check_objective,
    custom_metric,
    metric_label,
    metric_of,
    metric_of_losses,
)
from kallos.specs.study import metric_with_unit, parse_tune_spec, unit
from tests.samples import small_spec


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Return a function that writes a module of custom metrics with these last lines."""

    def write(*lines):
        function = "def worst(forecasts, actual):\n    return abs(forecasts - actual).max()\n"
        (tmp_path / "said_metrics.py").write_text(function + "\n".join(lines))
        sys.modules.pop("said_metrics", None)
        custom_metric.cache_clear()
        return "said_metrics:worst"

    monkeypatch.syspath_prepend(tmp_path)
    yield write
    sys.modules.pop("said_metrics", None)
    custom_metric.cache_clear()


def test_every_metric_is_found_under_its_name():
    assert all(metric_of(name).name == name for name in BUILT_IN)
    assert len({metric.label for metric in BUILT_IN.values()}) == len(BUILT_IN)
    assert (
        *("rmse", "mae", "mase", "smape", "qlike", "pinball", "crps"),
        *("direction", "ic", "rank_ic"),
    ) == OBJECTIVES
    assert [name for name in OBJECTIVES if metric_of(name).needs_likelihood] == ["pinball", "crps"]


@pytest.mark.parametrize("name", ["rmse", "turnover"])
def test_less_of_a_minimised_metric_is_better(name):
    metric = metric_of(name)
    assert metric.is_better(1.0, 2.0)
    assert not metric.is_better(2.0, 1.0)
    assert not metric.is_better(1.0, 1.0)
    assert metric.best([3.0, 1.0, 2.0]) == 1.0
    assert metric.best_of({"a": 3.0, "b": 1.0, "c": 1.0}) == "b"
    assert metric.worst == math.inf


@pytest.mark.parametrize("name", ["direction", "ic", "rank_ic", "sharpe"])
def test_more_of_a_maximised_metric_is_better(name):
    metric = metric_of(name)
    assert metric.is_better(2.0, 1.0)
    assert not metric.is_better(1.0, 2.0)
    assert not metric.is_better(1.0, 1.0)
    assert metric.best([3.0, 1.0, 2.0]) == 3.0
    assert metric.best_of({"a": 1.0, "b": 3.0, "c": 3.0}) == "b"
    assert metric.worst == -math.inf


@pytest.mark.parametrize("name", ["rmse", "ic"])
def test_a_score_that_is_no_number_is_never_better(name):
    metric = metric_of(name)
    assert metric.is_better(0.3, math.nan)
    assert not metric.is_better(math.nan, 0.3)
    assert metric.best_of({"none": math.nan, "some": 0.3}) == "some"


@pytest.mark.parametrize("name", ["rmse", "mae", "mase", "smape", "pinball", "crps", "qlike"])
def test_the_skill_of_an_error_is_the_share_that_is_saved(name):
    assert metric_of(name).skill(0.9, 1.2) == pytest.approx(0.25)
    assert metric_of(name).skill(1.5, 1.2) == pytest.approx(-0.25)
    assert metric_of(name).skill(0.0, 1.2) == 1.0
    # A baseline whose forecasts are not positive has no finite QLIKE.
    assert metric_of(name).skill(0.9, math.inf) == 1.0


def test_nothing_can_be_saved_of_a_baseline_without_error():
    assert metric_of("rmse").skill(0.0, 0.0) == 0.0
    assert metric_of("rmse").skill(1.0, 0.0) < -1e300


@pytest.mark.parametrize(
    ("name", "skill"), [("direction", 0.04), ("ic", 0.04), ("rank_ic", 0.04), ("sharpe", 0.04), ("turnover", -0.04)]
)
def test_the_skill_of_other_metrics_is_the_difference_with_better_above_zero(name, skill):
    assert metric_of(name).skill(0.54, 0.5) == pytest.approx(skill)
    assert metric_of(name).skill(0.5, 0.5) == 0.0


def test_tests_compare_squared_errors_where_a_metric_is_not_a_mean_of_losses(own):
    assert metric_of_losses("mae").name == "mae"
    assert metric_of_losses("direction").name == "direction"
    assert metric_of_losses("rank_ic").name == metric_of_losses(own()).name == "rmse"


def test_a_plain_function_is_minimised_in_own_units(own):
    metric = metric_of(own())
    assert (metric.direction, metric.unit, metric.skill_is) == ("minimize", "own", "share")
    assert (metric.name, metric_label(metric.name)) == ("said_metrics:worst", "said_metrics:worst")
    assert check_objective("said_metrics:worst") == "said_metrics:worst"


def test_a_function_says_its_direction_and_unit_by_attributes(own):
    metric = metric_of(own("worst.direction = 'maximize'", "worst.unit = 'none'"))
    assert (metric.direction, metric.unit, metric.skill_is) == ("maximize", "none", "difference")
    assert metric.is_better(2.0, 1.0)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "worst.direction = 'maximise'",
            "must be 'minimize' or 'maximize', and that of .* is 'maximise': did you mean",
        ),
        (
            "worst.unit = 'percent'",
            "'unit' of a metric's function must be 'own' or 'none', and that of .* is 'percent'",
        ),
        (
            "worst.directon = 'maximize'",
            "may have the attributes direction and unit.*has 'directon': did you mean 'dir",
        ),
    ],
)
def test_a_function_that_says_something_else_of_itself_is_refused_in_one_line(own, line, said):
    with pytest.raises(UsageError, match=said) as raised:
        check_metric(own(line))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["sharpe", "turnover_proportional", "hit_rate", "f1_up", "expectancy"])
def test_metrics_that_are_only_shown_are_no_objectives(name):
    assert check_metric(name) == name
    with pytest.raises(UsageError, match=f"nothing is chosen by '{name}', which is only shown beside others: name one"):
        check_objective(name)


def test_an_unknown_metric_is_refused_with_the_closest_one():
    with pytest.raises(UsageError, match="did you mean 'turnover'"):
        check_metric("turn_over")
    with pytest.raises(
        UsageError, match=r"a known metric, or module:function .*, not 'direktion': did you mean 'direction'"
    ):
        check_objective("direktion")


def test_the_unit_of_a_study_follows_from_its_metric(own):
    two = {"features": {"target": ["log_return_close", "macd"]}}
    assert unit(small_spec(metric="smape", **two)) == unit(small_spec(metric="mase")) == "none"
    assert metric_with_unit(small_spec(metric="mase", **two)) == "MASE"
    assert metric_with_unit(small_spec(metric="mae", **two)) == "MAE (in standard deviations)"
    assert unit(small_spec(metric=own("worst.unit = 'none'"), **two)) == "none"


@pytest.mark.parametrize("name", ["direction", "ic", "rank_ic"])
def test_a_study_may_maximise_its_metric(name):
    spec = parse_tune_spec({"data": {"asset_id": "ABC"}, "metric": name})
    assert spec.objectives == (name,)
    assert metric_of(spec.metric).is_maximised


def test_the_definitions_are_light_to_import():
    code = "import sys, kallos.specs.metrics; print(sorted({'pandas', 'torch', 'scipy', 'optuna'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
