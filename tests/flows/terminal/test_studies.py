"""What studies look like on a terminal of 80 columns."""

from datetime import UTC, datetime
from io import StringIO

from rich.console import Console

from flows.terminal.studies import show_comparison, show_list, show_study
from kallos.planning import DataSummary
from kallos.study.catalogue import RecordedStudy, StudySummary, TrialCounts
from kallos.study.comparison import compare
from kallos.study.trials import WarmStart

LAST = datetime(2024, 3, 31, 6, 5, tzinfo=UTC)


def summary(name: str, **over) -> StudySummary:
    values = {
        "asset": "BTC",
        "model": "gru",
        "trials": TrialCounts(complete=88, pruned=10, failed=2),
        "n_trials": 100,
        "metric": "rmse",
        "direction": "minimize",
        "best_value": 0.0123456,
        "baseline": "zero",
        "baseline_value": 0.0131234,
        "created": LAST,
        "last_activity": LAST,
        "is_running": False,
    }
    metric = over.get("metric", "rmse")
    return StudySummary(name=name, **{**values, "objectives": {metric: "minimize"}, **over})


def test_a_name_is_never_broken_and_all_else_fits_in_80_columns():
    long = "gru+lstm+tide+transformer-A-VERY-LONG-ASSET-NAME.XETRA-0123456789abcdef0123456789abcdef"
    studies = [
        summary("gru-BTC-0123456789abcdef"),
        summary(long, metric="mae", best_value=0.02, is_running=True),
        summary("gru-BTC-begun", best_value=None),
    ]
    console = Console(width=80, file=StringIO())
    show_list(console, studies)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 1 + 2 * len(studies)
    assert [line.split()[0] for line in lines[1::2]] == [study.name for study in studies]
    assert all(len(line) <= 80 for line in [*lines[::2], lines[1]])
    assert lines[1].endswith("  10 pruned, 2 failed")
    assert lines[2].split()[3:] == ["0.012346", "RMSE", "0.013123", "zero", "+5.93%", "2024-03-31", "06:05"]
    assert lines[4].split()[3:] == ["0.02", "MAE", "0.013123", "zero", "-52.40%", "running"]
    assert lines[6].split() == ["100", "of", "100", "0.013123", "zero", "2024-03-31", "06:05"]


def recorded(**over) -> RecordedStudy:
    return RecordedStudy(
        summary=summary("a-study", **over),
        spec={},
        data=DataSummary(sha256="0" * 64, rows=9, rows_by_asset={"BTC": 9}, start=0, end=8),
        windows=(),
        warm_start=WarmStart(),
        best=None,
        best_trials=(),
    )


def test_every_best_value_is_shown_with_its_metric():
    console = Console(width=80, file=StringIO())
    show_study(console, recorded())
    show_comparison(console, compare([recorded(), recorded(metric="mae")]))
    shown = [line.strip() for line in console.file.getvalue().splitlines()]
    assert [" ".join(line.split(", ")[0].split()) for line in shown if line.startswith("best ")] == [
        "best RMSE 0.012346",
        "best 0.012346 RMSE 0.012346 MAE",
    ]
