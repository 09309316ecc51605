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
            "must lie behind what the model's study saw: 2024-02-29 does not, .*; take one not before 2024-03-01",
        ),
        (
            {"start": "2024-03-05", "features": {"label_horizon": 7}},
            UsageError,
            "ends with 2024-02-29, and 6 more are purged; take one not before 2024-03-07",
        ),
        ({"start": "2024-03-05", "end": "2024-03-01"}, UsageError, "`test_start_date` 2024-03-05 must not be after"),
        ({"start": "yesterday"}, UsageError, "`test_start_date` must be an ISO date"),
        ({"start": "2025-03-05"}, DataError, "must hold one whole horizon of 1, and there are 0 rows"),
        ({"start": "2024-04-08", "horizon": 3}, DataError, "one whole horizon of 3, and there are 2 rows"),
        ({"study_end": "2023-01-01"}, DataError, "must hold those of the model's study, which ends with 2023-01-01"),
        ({"study_end": "2024-01-05T12:00:00"}, DataError, "there is no such row"),
    ],
)
def test_what_cannot_be_a_hold_out_is_refused(options, error, said):
    with pytest.raises(error, match=said):
        window(**options)
