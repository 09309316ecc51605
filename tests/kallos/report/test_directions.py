"""What is said and drawn of studies whose metric goes up, and of several objectives."""

import json
import re

import pytest

from kallos.report.banner import banner
from kallos.report.leaderboard import Leaderboard, LeaderboardEntry, leaderboard_csv, leaderboard_markdown
from kallos.report.page import report_html
from kallos.report.parallel import draw_parallel
from kallos.report.plots import draw_folds, draw_history, report_png, value_limit
from kallos.report.rows import architecture_rows, best_params_markdown, fold_rows, front_rows, metric_rows, trial_rows
from kallos.report.tables import baseline_table, fold_table, front_table, metric_table, trial_table
from kallos.specs.metrics import metric_of
from kallos.study.best_params import BestParams, since_last_run, write_best_params
from kallos.study.choice import NO_CHOICE
from kallos.study.lines import pick_line, verdict
from kallos.tuner import run_tuning
from tests.direction_samples import by_trial
from tests.kallos.report.test_page import Seen
from tests.samples import small_plan

SHARES = (0.5, 0.8, 0.6, 0.9, 0.7, 0.05)
# Trials 1, 3 and 4 are on the front: the others have both a larger error and fewer right signs than one of these.
ERRORS = (0.02, 0.011, 0.03, 0.015, 0.010, 0.011)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A study by the share of right signs alone."""
    plan = small_plan(tmp_path_factory.mktemp("study"), metric="direction", n_trials=6, pruner="none")
    return run_tuning(plan, evaluate=by_trial(SHARES))


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A study by an error and the share of right signs, with a metric that is shown beside them."""
    plan = small_plan(
        tmp_path_factory.mktemp("study"),
        objectives=["rmse", "direction"],
        metrics=["sharpe"],
        n_trials=6,
        pruner="none",
    )
    return run_tuning(plan, evaluate=by_trial(SHARES, ERRORS))


def test_the_best_trial_has_most_signs_right_and_the_best_baseline_too(result):
    assert (result.best.number, result.best_value) == (3, 0.9)
    named = {name: value for name, value in result.baseline_values.items() if name in result.spec.baselines}
    assert result.baseline_value == max(named.values()) < 0.9
    assert result.skill == pytest.approx(0.9 - max(named.values()))
    assert list(result.skills.values()) == sorted(result.skills.values())
    assert result.folds_won == 2


def test_sentences_say_a_difference_of_directions(result):
    difference = f"{0.9 - result.baseline_value:.3g}"
    assert verdict(result).startswith(f"{difference} better than the baseline ({result.baseline}), in 2 of 2 folds")
    assert "%" not in verdict(result)
    first = banner(result, None, NO_CHOICE)
    assert first.figures[0].value == f"+{difference}"
    assert f"The best of 6 trials is {difference} better than baseline" in first.reasons[0]
    last = BestParams.of(result)
    worse = last.model_copy(update={"best_value": 0.6})
    assert since_last_run(result, worse) == "0.3 better than the last run's best, direction 0.6."
    assert since_last_run(result, last.model_copy(update={"best_value": 1.0})).startswith("0.1 worse than")


def test_tables_have_differences_with_signs(result):
    folds = fold_table(result)
    assert "how much higher the direction of the best trial is than the baseline's" in folds.caption
    skills = [row["skill"] for row in fold_rows(result)]
    baselines = [window.baseline_values[result.baseline] for window in result.windows]
    assert skills == pytest.approx([0.9 - baseline for baseline in baselines])
    column = folds.headings.index("skill")
    assert [row[column] for row in folds.rows[:2]] == [f"+{skill:.3g}" for skill in skills]
    assert [float(row[1]) for row in baseline_table(result).rows] == pytest.approx(
        sorted(result.baseline_values.values(), reverse=True), rel=1e-5
    )
    trials = trial_table(result)
    worst = trials.rows[5]
    assert worst[trials.headings.index("direction")] == "0.05"
    assert worst[trials.headings.index("skill")] == f"\u2212{result.baseline_value - 0.05:.3g}"
    assert trial_rows(result)[5]["skill over the baseline"] == pytest.approx(0.05 - result.baseline_value, abs=1e-4)


def test_an_architecture_is_shown_with_its_best_trial(tmp_path):
    plan = small_plan(tmp_path, model_name="gru,lstm", metric="direction", n_trials=6, pruner="none")
    drawn = run_tuning(plan, evaluate=by_trial(SHARES))
    of_each = {}
    for trial in drawn.trials:
        of_each.setdefault(trial.params["architecture"], []).append(trial.value)
    assert {row["architecture"]: row["value"] for row in architecture_rows(drawn)} == {
        name: max(values) for name, values in of_each.items()
    }


@pytest.fixture
def outlier(tmp_path):
    """A study whose last trial is far worse than all others, beside a baseline that is not."""
    plan = small_plan(tmp_path, metric="direction", n_trials=6, pruner="none")
    return run_tuning(plan, evaluate=by_trial((0.85, 0.8, 0.85, 0.9, 0.85, 0.05))).model_copy(
        update={"baseline_value": 0.8}
    )


def test_the_history_is_drawn_with_the_best_so_far_and_the_outlier_below(outlier):
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    draw_history(axes, outlier, columns=3)
    steps = next(line for line in axes.lines if line.get_label() == "best so far")
    # The last step is the end of the study.
    assert list(steps.get_ydata()) == [0.85, 0.85, 0.85, 0.9, 0.9, 0.9, 0.9]
    (far,) = [points for points in axes.collections if points.get_label() == "off the scale"]
    low, high = axes.get_ylim()
    # The best, less two and a half times its distance to the baseline.
    assert value_limit(outlier) == pytest.approx(0.9 - 2.5 * 0.1)
    assert [low < y < value_limit(outlier) for _, y in far.get_offsets()] == [True]
    assert 0.9 < high < 1


def test_bars_of_folds_are_marked_with_differences(result):
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    draw_folds(axes, result, width=500)
    assert [text.get_text() for text in axes.texts] == [f"+{row['skill']:.3g}" for row in fold_rows(result)]
    assert "%" not in axes.yaxis.get_major_formatter()(0.1, 0)


def test_the_best_quarter_of_the_parallel_lines_is_that_of_most_right_signs(outlier):
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    draw_parallel(axes, outlier, {}, columns=2)
    places = {
        lines.get_label(): [vertices[0, 0] for vertices in (path.vertices for path in lines.get_paths())]
        for lines in axes.collections
        if isinstance(lines, LineCollection)
    }
    assert places["best quarter"] == places["best"] == [0.0]
    # 0.85 is a fifth of the way to 0.65; the worst is at the edge, since it is off the scale.
    assert sorted(places["complete"]) == pytest.approx([0.2, 0.2, 0.2, 0.4, 1.0])
    assert [text.get_text() for text in axes.texts][1:] == ["0.9", "0.65 or less"]


def test_the_page_of_a_study_by_direction_says_which_way_is_better(result):
    seen = Seen(report_html(result))
    assert "the highest mean direction over the folds" in seen.text
    assert "mean direction (higher is better) of 6 trials" in " ".join(seen.labels)
    assert "share of the baseline's" not in seen.text
    assert "objectives" not in seen.ids
    assert report_png(result).startswith(b"\x89PNG")


def test_the_leaderboard_ranks_more_right_signs_higher(result, tmp_path):
    others = {
        "lstm": run_tuning(
            small_plan(tmp_path, model_name="lstm", metric="direction", n_trials=2, pruner="none"),
            evaluate=by_trial((0.95, 0.7)),
        ),
        "tcn": run_tuning(
            small_plan(tmp_path, model_name="tcn", metric="direction", n_trials=2, pruner="none"),
            evaluate=by_trial((0.05, 0.1)),
        ),
    }
    results = {"gru": result, **others}
    board = Leaderboard(entries=tuple(LeaderboardEntry.of(each.spec, BestParams.of(each)) for each in results.values()))
    assert [(row.rank, row.model.partition(" ")[0]) for row in board.rows] == [
        (1, "lstm"),
        (2, "gru"),
        (3, "baseline"),
        (4, "tcn"),
    ]
    assert board.rows[0].skill == pytest.approx(0.95 - result.baseline_value)
    text = leaderboard_markdown(board)
    assert f"| +{0.95 - result.baseline_value:.3g} |" in text
    assert f"| -{result.baseline_value - 0.1:.3g} |" in text
    assert "asset,rank,model,status,metric,direction,value,skill" in leaderboard_csv(board)


def test_every_metric_is_a_row_with_the_best_trial_and_each_baseline_that_counts(both):
    rows = {row["metric"]: row for row in metric_rows(both)}
    assert list(rows) == ["rmse", "direction", "mae", "sharpe"]
    assert (rows["rmse"]["better"], rows["sharpe"]["better"]) == ("lower", "higher")
    assert rows["direction"]["value"] == SHARES[both.best.number]
    assert rows["rmse"]["value"] == pytest.approx(ERRORS[both.best.number])
    folds = [window.baseline_metrics["mean"]["direction"] for window in both.windows]
    assert rows["direction"]["baselines"]["mean"] == pytest.approx(sum(folds) / 2)
    assert "ridge" not in rows["rmse"]["baselines"]
    table = metric_table(both)
    assert table.headings[:4] == ("metric", "better", "best trial", "zero")
    # Zeros take no position, so they have no Sharpe ratio.
    assert dict(zip(table.headings, table.rows[3], strict=True))["zero"] == "\u2013"


def test_the_front_has_the_trials_that_no_other_dominates(both):
    assert both.front == (1, 3, 4)
    assert [row["trial"] for row in front_rows(both)] == [4, 1, 3]
    assert [row["is_picked"] for row in front_rows(both)].count(True) == 1
    table = front_table(both)
    assert table.headings[:3] == ("trial", "RMSE", "direction")
    assert [row[1:3] for row in table.rows] == [("0.01", "0.7"), ("0.011", "0.8"), ("0.015", "0.9")]
    assert table.rows[table.mark][0] == f"{both.best.number} (picked)"


def test_the_rule_that_picked_is_said_with_both_scores(both):
    # The errors are the same in each fold, so only the best one is within its standard error.
    assert pick_line(both) == (
        "trial 4: RMSE 0.01, direction 0.7; picked from 3 trials that no other dominates: of those within one standard "
        "error of the best RMSE, the best by direction"
    )
    first = both.model_copy(update={"spec": both.spec.model_copy(update={"pick": "first"})})
    assert pick_line(first).endswith("no other dominates: the best by RMSE")
    numbered = both.model_copy(update={"spec": both.spec.model_copy(update={"pick": 4})})
    assert pick_line(numbered).endswith("picked by its number; there are 3 trials that no other dominates")
    assert "picked from 6 trials" in verdict(both)


def test_a_page_of_two_objectives_has_a_picture_and_a_table_of_the_front(both):
    seen = Seen(report_html(both))
    assert seen.ids.count("objectives") == 1
    labels = [label for label in seen.labels if "No other trial dominates" in label]
    # One for wide screens, and one for phones.
    assert len(labels) == 2
    assert "RMSE (lower is better) and direction (higher is better)" in labels[0]
    assert "4: 0.01, 0.7; 1: 0.011, 0.8; 3: 0.015, 0.9. Picked: trial 4." in labels[0]
    assert "Trial 4 was picked from 3 trials that no other dominates" in seen.text
    assert "Trials that no other trial dominates" in seen.text


def test_the_artifact_has_the_front_and_the_metrics(both):
    text = best_params_markdown(both)
    assert "| trial | RMSE (lower is better) | direction (higher is better) | parameters |" in text
    assert re.search(r"\| 4 \(picked\) \| 0\.01 \| 0\.7 \| .*lr=", text)
    assert re.search(r"\| Sharpe ratio \(higher is better\) \| [-\d.]+ \| [-\d.]+ \|", text)
    row = trial_rows(both)[3]
    assert (row["direction"], row["rmse"]) == (0.9, pytest.approx(0.015))
    assert row["sharpe"] == both.trials[3].values["sharpe"]


def test_a_page_and_an_artifact_of_one_objective_have_no_front(result):
    assert "dominate" not in report_html(result)
    assert "dominate" not in best_params_markdown(result)


def test_the_document_has_the_means_of_each_baseline_by_each_metric(both, tmp_path):
    write_best_params(BestParams.of(both), str(tmp_path))
    (copy,) = tmp_path.glob("*.json")
    document = json.loads(copy.read_text())
    assert set(document["baseline_metrics"]["mean"]) == {"rmse", "direction", "mae", "sharpe"}
    assert document["baseline_metrics"]["mean"]["rmse"] == pytest.approx(document["baseline_values"]["mean"])
    assert document["baseline_metrics"]["zero"]["sharpe"] is None


def test_the_front_is_drawn_with_the_dominated_trials_the_baseline_and_the_picked_one(both):
    from matplotlib.figure import Figure

    from kallos.report.front import draw_front

    axes = Figure().subplots()
    draw_front(axes, both, columns=2)
    (front,) = axes.lines
    assert front.get_xydata().tolist() == [
        [pytest.approx(ERRORS[number]), pytest.approx(SHARES[number])] for number in (4, 1, 3)
    ]
    places = {points.get_label(): points.get_offsets().tolist() for points in axes.collections}
    assert len(places["dominated"]) + len(places.get("off the scale", ())) == 3
    assert places["picked"] == [[pytest.approx(0.01), pytest.approx(0.7)]]
    baseline = both.baseline_metrics[both.baseline]
    assert places[f"baseline ({both.baseline})"] == [[baseline["rmse"], baseline["direction"]]]
    assert axes.get_xlabel() == metric_of("rmse").label_with_better == "RMSE (lower is better)"


def test_a_metric_that_is_only_shown_may_be_infinite_and_is_then_empty(tmp_path):
    # The QLIKE of returns, some of whose forecasts are below zero.
    plan = small_plan(tmp_path, metrics=["qlike"], n_trials=1, pruner="none")
    shown = run_tuning(plan, evaluate=by_trial((0.5,)))
    assert shown.best.values["qlike"] is None
    write_best_params(BestParams.of(shown), str(tmp_path / "results"))
    (table,) = [metric_table(shown)]
    assert dict(zip(table.headings, table.rows[2], strict=True)) | {"zero": ""} == {
        **dict.fromkeys(table.headings, "\u2013"),
        "metric": "QLIKE",
        "better": "lower",
        "zero": "",
    }
