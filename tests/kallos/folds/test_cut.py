import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kallos.datasets import get_walk_forward_splits
from kallos.errors import DataError, UsageError
from kallos.folds.cut import Fold, cut_folds, cut_inner
from kallos.specs.study import FoldSpec


def table(index: pd.Index) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(len(index), dtype=float)}, index=index)


def days(start: str, end: str) -> pd.DataFrame:
    return table(pd.date_range(start, end, freq="D"))


def spans(splits) -> list[tuple[str, ...]]:
    return [
        tuple(str(moment)[:10] for moment in (train.index[0], train.index[-1], val.index[0], val.index[-1]))
        for train, val in splits
    ]


def test_folds_of_daily_rows_are_the_last_whole_quarters():
    assert spans(get_walk_forward_splits(days("2022-02-10", "2024-05-17"), n_folds=3)) == [
        ("2022-02-10", "2023-06-30", "2023-07-01", "2023-09-30"),
        ("2022-02-10", "2023-09-30", "2023-10-01", "2023-12-31"),
        ("2022-02-10", "2023-12-31", "2024-01-01", "2024-03-31"),
    ]


def test_folds_of_hourly_rows_are_whole_months():
    frame = table(pd.date_range("2024-01-01", "2024-04-10 07:00", freq="h"))
    (_, february), (_, march) = get_walk_forward_splits(frame, n_folds=2)
    assert (february.index[0], february.index[-1]) == (pd.Timestamp("2024-02-01"), pd.Timestamp("2024-02-29 23:00"))
    assert len(march) == 31 * 24


def test_rolling_windows_keep_their_length():
    splits = get_walk_forward_splits(days("2022-01-01", "2023-12-31"), n_folds=2, train_rows=100)
    assert spans(splits) == [
        ("2023-03-23", "2023-06-30", "2023-07-01", "2023-09-30"),
        ("2023-06-23", "2023-09-30", "2023-10-01", "2023-12-31"),
    ]


def test_purge_and_gap_leave_out_the_rows_before_each_window():
    frame = days("2022-01-01", "2023-12-31")
    ((train, val),) = get_walk_forward_splits(frame, n_folds=1, label_horizon=7, gap=3)
    # A label of 7 rows is known 7 rows later: the last 6 are purged, and 3 more for the gap.
    assert (val.index[0] - train.index[-1]).days == 1 + 6 + 3


def test_a_hold_out_is_the_last_whole_quarters_and_what_is_behind_them():
    frame = days("2021-01-01", "2024-05-17")
    assert spans(get_walk_forward_splits(frame, n_folds=2, holdout=2)) == [
        ("2021-01-01", "2023-03-31", "2023-04-01", "2023-06-30"),
        ("2021-01-01", "2023-06-30", "2023-07-01", "2023-09-30"),
    ]
    grid = cut_folds(frame.index, FoldSpec(n_folds=2, holdout=2))
    assert grid.current_fold is None
    assert str(frame.index[grid.holdout_start]) == "2023-10-01 00:00:00"
    assert grid.study_stop == grid.holdout_start
    assert str(frame.index[grid.holdout_stop - 1]) == "2024-03-31 00:00:00"


def test_a_study_ends_with_what_is_known_at_the_first_origin_of_its_hold_out():
    frame = days("2021-01-01", "2024-05-17")
    ((_, val),) = get_walk_forward_splits(frame, n_folds=1, holdout=2, label_horizon=7, gap=3)
    # The first origin stands 7 rows before the hold-out: a target of a later row is not known there.
    assert str(val.index[-1])[:10] == "2023-09-21"
    grid = cut_folds(frame.index, FoldSpec(n_folds=1, holdout=2, gap=3), lead=7)
    assert str(frame.index[grid.study_stop - 1])[:10] == "2023-09-21"


def test_rows_that_close_no_window_move_no_hold_out():
    spec = FoldSpec(n_folds=2, holdout=1)
    grids = [cut_folds(days("2021-01-01", end).index, spec) for end in ("2024-04-01", "2024-06-29")]
    assert grids[0] == grids[1]


def test_a_window_in_rows_counts_from_the_first_row():
    grid = cut_folds(pd.RangeIndex(1000, 1350), FoldSpec(n_folds=2, window=100))
    assert [(fold.validation_start, fold.validation_stop) for fold in grid.folds] == [(100, 200), (200, 300)]
    assert (grid.current_fold.train_stop, grid.current_fold.validation_start, grid.current_fold.validation_stop) == (
        300,
        300,
        350,
    )


@pytest.mark.parametrize(
    ("last", "is_complete"),
    [
        ("2024-03-30", False),
        ("2024-03-31", True),
        ("2024-04-01", False),
    ],
)
def test_a_daily_window_is_complete_with_its_last_day(last, is_complete):
    assert (cut_folds(days("2023-01-01", last).index, FoldSpec(n_folds=1)).current_fold is None) == is_complete


@pytest.mark.parametrize(
    ("last", "windows_end"),
    [
        ("2024-06-28", "2024-06-28"),  # a Friday, and the quarter's last weekday
        ("2024-06-27", "2024-03-29"),
        ("2023-12-29", "2023-12-29"),
    ],
)
def test_a_window_of_sessions_is_complete_with_its_last_weekday(last, windows_end):
    frame = table(pd.bdate_range("2022-01-03", last))
    assert spans(get_walk_forward_splits(frame, n_folds=1))[0][3] == windows_end


def test_a_window_whose_last_weekday_is_a_holiday_is_complete_with_the_first_session_behind_it():
    sessions = pd.bdate_range("2022-01-03", "2024-04-01").drop("2024-03-29")
    assert spans(get_walk_forward_splits(table(sessions[:-1]), n_folds=1))[0][3] == "2023-12-29"
    assert spans(get_walk_forward_splits(table(sessions), n_folds=1))[0][3] == "2024-03-28"


@given(extra=st.integers(0, 90), n_folds=st.integers(1, 6))
def test_rows_that_close_no_window_move_no_fold(extra, n_folds):
    # 2024-04-01 to 2024-06-29 are 90 rows of a quarter that is not over.
    whole = days("2022-01-01", "2024-06-29")
    shorter = whole.iloc[: len(whole) - extra]
    assert spans(get_walk_forward_splits(whole, n_folds)) == spans(get_walk_forward_splits(shorter, n_folds))


@given(
    n_rows=st.integers(200, 900),
    n_folds=st.integers(1, 4),
    window=st.integers(5, 30),
    lead=st.integers(1, 6),
    gap=st.integers(0, 4),
    train_rows=st.none() | st.integers(10, 40),
    holdout=st.integers(0, 2),
)
def test_whatever_is_asked_windows_touch_and_training_ends_before_them(
    n_rows, n_folds, window, lead, gap, train_rows, holdout
):
    n_purged = lead - 1 + gap
    assume(not holdout or n_purged < window)
    spec = FoldSpec(n_folds=n_folds, window=window, gap=gap, train_rows=train_rows, holdout=holdout)
    grid = cut_folds(pd.RangeIndex(n_rows), spec, lead=lead)
    assert len(grid.folds) == n_folds
    for fold in grid.folds:
        assert 0 <= fold.train_start < fold.train_stop == fold.validation_start - (lead - 1) - gap
        # The last window before a hold-out ends where the hold-out's first origin knows its targets.
        is_cut = bool(holdout) and fold is grid.folds[-1]
        assert fold.validation_stop - fold.validation_start == window - is_cut * n_purged
        assert fold.validation_start % window == 0
        assert train_rows is None or fold.train_stop - fold.train_start == train_rows
    for before, after in zip(grid.folds, grid.folds[1:], strict=False):
        assert before.validation_stop == after.validation_start
    if holdout:
        assert grid.study_stop == grid.folds[-1].validation_stop == grid.holdout_start - n_purged
        assert grid.holdout_stop - grid.holdout_start == holdout * window
    assert n_rows - (grid.holdout_stop or grid.folds[-1].validation_stop) < window


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"n_folds": 9},
            "`n_folds` 9 needs 10 complete windows of a quarter, .*about 900 rows, and the data has 4 complete windows "
            "and 366 rows",
        ),
        ({"n_folds": 3, "train_rows": 200}, "fold 1 needs `train_rows` 200 before its validation window, and has 91"),
        (
            {"n_folds": 1, "holdout": 1, "window": 30, "gap": 35},
            "before the hold-out take 35 rows, and the last validation window has only 30",
        ),
        ({"n_folds": 3, "gap": 91}, "fold 1 has 91 rows before its validation window.*take 91"),
    ],
)
def test_too_few_rows_say_how_many_are_needed_and_there(options, said):
    with pytest.raises(DataError, match=said):
        list(get_walk_forward_splits(days("2024-01-01", "2024-12-31"), **options))


def test_a_calendar_window_needs_timestamps():
    with pytest.raises(UsageError, match="needs timestamps"):
        list(get_walk_forward_splits(table(pd.RangeIndex(500)), window="month"))


def test_the_inner_part_is_the_end_of_training_and_purged_like_a_window():
    cut = cut_inner(Fold(1, 0, 100, 100, 120), 0.2, lead=4, horizon=5)
    assert (cut.inner_start, cut.fit_stop) == (80, 77)
    assert cut_inner(Fold(1, 0, 100, 100, 120), 0.01, lead=1, horizon=5).inner_start == 95
