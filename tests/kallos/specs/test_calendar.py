"""Names of exchanges and of the calendar's items."""

import subprocess
import sys

import pytest

from kallos.errors import UsageError
from kallos.specs.calendar import calendar_names, check_calendar
from kallos.specs.study import parse_tune_spec


def test_an_item_has_the_same_columns_whatever_the_data():
    assert calendar_names(("weekday",)) == tuple(
        f"weekday_{day}" for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    )
    assert calendar_names(("month",)) == tuple(f"month_{month}" for month in range(1, 13))
    assert calendar_names(("hour",)) == tuple(f"hour_{hour}" for hour in range(24))
    assert calendar_names(("holiday:NYSE", "turn_of_month")) == (
        "holiday_NYSE",
        "before_holiday_NYSE",
        "after_holiday_NYSE",
        "turn_of_month",
    )
    assert calendar_names(()) == ()


@pytest.mark.parametrize("name", ["weekday", "month", "hour", "turn_of_month", "holiday:NYSE", "holiday:XLON"])
def test_an_item_of_the_calendar_is_returned_as_it_is(name):
    assert check_calendar(name) == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("weekdays", r"^calendar must be one of its items, not 'weekdays': did you mean 'weekday'\?"),
        ("holidays", r"^calendar must be one of its items, not 'holidays': .*holiday:NYSE"),
        ("holiday:NYSEE", r"^calendar 'holiday:NYSEE' has no such exchange: .*not 'NYSEE': did you mean 'NYSE'\?"),
    ],
)
def test_another_name_is_refused_with_the_closest_item(name, message):
    with pytest.raises(UsageError, match=message) as caught:
        check_calendar(name)
    assert "\n" not in str(caught.value)


def test_a_study_names_its_market_and_an_unknown_one_is_refused_in_one_line():
    assert parse_tune_spec({"data": {"asset_id": "SPX"}}).data.market is None
    assert parse_tune_spec({"data": {"asset_id": "SPX", "market": "NYSE"}}).data.market == "NYSE"
    with pytest.raises(
        UsageError, match=r"^data.market must be an exchange such as NYSE, not 'nyse': did you mean 'NYSE'\?"
    ):
        parse_tune_spec({"data": {"asset_id": "SPX", "market": "nyse"}})


def test_specifications_without_an_exchange_do_not_import_the_holidays():
    code = (
        "import sys; from kallos.specs.calendar import calendar_names, check_calendar; import kallos.specs.study; "
        "calendar_names((check_calendar('weekday'), 'holiday:NYSE')); assert 'holidays' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
