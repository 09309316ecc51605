import pandas as pd
import pytest

from kallos.errors import DataError, UsageError
from kallos.evaluation.window import find_window
from tests.samples import small_spec

DAYS = pd.date_range("2024-01-01", "2024-04-09", name="timestamp")  # a hundred
STUDY_END = "2024-02-29T00:00:00"  # row 59


def window(index=DAYS, study_end=STUDY_END, *, start=None, end=None, **over):
    return find_window(index, small_spec(**over), study_end=study_end, start_date=start, end_date=end)


@pytest.mark.parametrize(
    ("over", "first"),
    [
        ({}, 60),
        ({"features": {"label_horizon": 1}}, 60),
        ({"features": {"label_horizon": 7}}, 66),
        ({"features": {"label_horizon": 7}, "folds": {"gap": 3}}, 69),
    ],
)
def test_a_hold_out_begins_behind_the_study_and_its_purge(over, first):
    assert window(**over) == slice(first, 100)


def test_both_dates_are_inclusive():
    assert window(start="2024-03-10", end="2024-03-20") == slice(69, 80)
    assert window(pd.RangeIndex(5, 105), 64, start="70", end="80") == slice(65, 76)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        (
            {"start": "2024-02-29"},
            UsageError,
            "after the rows that the model's study saw, and 2024-02-29 does not: .*; start at 2024-03-01 or later",
        ),
        (
            {"start": "2024-03-05", "features": {"label_horizon": 7}},
            UsageError,
            "ends at 2024-02-29 and 6 more rows are purged; start at 2024-03-07 or later",
        ),
        ({"start": "2024-03-05", "end": "2024-03-01"}, UsageError, "`test_start_date` 2024-03-05 must not be after"),
        ({"start": "yesterday"}, UsageError, "`test_start_date` must be an ISO date"),
        ({"start": "2025-03-05"}, DataError, "needs at least one horizon of 1, and 0 rows can be scored"),
        ({"start": "2024-04-08", "horizon": 3}, DataError, "at least one horizon of 3, and 2 rows can be scored"),
        (
            {"study_end": "2023-01-01"},
            DataError,
            "needs the rows of the model's study, and its last row, 2023-01-01, is missing",
        ),
        ({"study_end": "2024-01-05T12:00:00"}, DataError, "its last row, 2024-01-05T12:00:00, is missing"),
    ],
)
def test_what_cannot_be_a_hold_out_is_refused(options, error, said):
    with pytest.raises(error, match=said):
        window(**options)
