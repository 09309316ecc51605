"""OHLCV files are read as what they hold, or refused in one line."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kallos.errors import DataError, KallosError, UsageError
from kallos.features.files.prices import BARS, demo_prices, read_prices

DATES = ["2024-01-01", "2024-01-02", "2024-01-03"]
INDEX = pd.DatetimeIndex(DATES, dtype="datetime64[ns]", name="timestamp")
HEADER = "date,open,high,low,close,volume"


def table(asset: str | None = None) -> pd.DataFrame:
    rows = pd.DataFrame(
        {
            "date": DATES,
            "open": [10.5, 11.25, 12.0],
            "high": [13.0, 14.5, 15.75],
            "low": [9.0, 10.0, 11.0],
            "close": [11.0, 12.5, 14.0],
            "volume": [1000.0, 0.0, 2500.5],
        }
    )
    return rows if asset is None else rows.assign(asset=asset)


def expected(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[list(BARS)].set_axis(INDEX)


def save(rows: pd.DataFrame, path: Path) -> Path:
    if path.suffix in (".parquet", ".pq"):
        rows.to_parquet(path, index=False)
    else:
        rows.to_csv(path, index=False)
    return path


def refusal(path: Path, kind: type[KallosError] = DataError, asset_id: str | None = "BTC") -> str:
    with pytest.raises(kind) as caught:
        read_prices(path, asset_id)
    line = str(caught.value)
    assert "\n" not in line
    assert str(path) in line
    return line


@pytest.mark.parametrize("name", ["bars.csv", "bars.csv.gz", "bars.parquet", "bars.pq"])
@pytest.mark.parametrize("case", [str.lower, str.upper, str.title, " {} ".format], ids=["lower", "UPPER", "Title", "_"])
def test_a_file_is_read_whatever_its_format_and_the_case_of_its_columns(
    tmp_path: Path, name: str, case: Callable[[str], str]
) -> None:
    prices = read_prices(save(table("BTC").rename(columns=case), tmp_path / name))

    assert list(prices) == ["BTC"]
    pd.testing.assert_frame_equal(prices["BTC"], expected(table()), check_exact=True)


def test_a_csv_file_gives_its_numbers_to_the_bit(tmp_path: Path) -> None:
    n_rows = 500
    values = np.random.default_rng(1).lognormal(5, 3, (n_rows, len(BARS)))
    values[:, 1] = values.max(axis=1)
    rows = pd.DataFrame(values, columns=list(BARS))
    rows["date"] = pd.date_range("2020-01-01", periods=n_rows).strftime("%Y-%m-%d")

    # Python writes the shortest digits that name a float, so nothing is lost on the way to the file.
    read = read_prices(save(rows, tmp_path / "bars.csv"), "BTC")["BTC"].to_numpy()

    assert np.array_equal(read, values)


@pytest.mark.parametrize("timestamp", ["timestamp", "Date", "datetime", "TIME"])
@pytest.mark.parametrize("asset", ["asset_id", "Asset", "SYMBOL", "ticker"])
def test_the_usual_names_of_the_date_and_of_the_asset_are_known(tmp_path: Path, timestamp: str, asset: str) -> None:
    rows = table("BTC").rename(columns={"date": timestamp, "asset": asset}).assign(adj_close=1.0)

    pd.testing.assert_frame_equal(read_prices(save(rows, tmp_path / "bars.csv"))["BTC"], expected(table()))


@pytest.mark.parametrize(
    "dates",
    [
        ["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z", "2024-01-03T00:00:00Z"],
        ["2024-01-01 02:00:00+02:00", "2024-01-02 02:00:00+02:00", "2024-01-03 02:00:00+02:00"],
        pd.DatetimeIndex(DATES),
        pd.DatetimeIndex(DATES).tz_localize("UTC").tz_convert("America/New_York"),
    ],
    ids=["Z", "offset", "naive", "zoned"],
)
@pytest.mark.parametrize("name", ["bars.csv", "bars.parquet"])
def test_dates_come_out_sorted_in_utc_without_a_zone(tmp_path: Path, name: str, dates: list[str]) -> None:
    path = save(table().assign(date=dates).iloc[::-1], tmp_path / name)

    pd.testing.assert_frame_equal(read_prices(path, "BTC")["BTC"], expected(table()))


def test_whole_numbers_become_floats(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(f"{HEADER}\n2024-01-01,1,2,1,2,3\n")

    assert read_prices(path, "BTC")["BTC"].dtypes.eq(np.float64).all()


@pytest.mark.parametrize(("asked", "found"), [(None, ["BTC", "ETH"]), ("ETH", ["ETH"])])
def test_an_asset_column_splits_the_file_and_the_asset_id_selects(
    tmp_path: Path, asked: str | None, found: list[str]
) -> None:
    dearer = table("ETH").assign(close=[20.0, 21.0, 22.0])
    path = save(pd.concat([table("BTC"), dearer]).sort_values("date"), tmp_path / "bars.csv")

    prices = read_prices(path, asked)

    assert sorted(prices) == found
    pd.testing.assert_frame_equal(prices["ETH"], expected(dearer))


def test_an_asset_named_by_a_number_is_selected_by_its_digits(tmp_path: Path) -> None:
    rows = pd.concat([table().assign(asset=1), table().assign(asset=2, close=99.0)])

    assert (read_prices(save(rows, tmp_path / "bars.csv"), "2")["2"]["close"] == 99).all()


def test_a_file_without_an_asset_column_takes_the_asset_id_as_its_name(tmp_path: Path) -> None:
    assert list(read_prices(save(table(), tmp_path / "bars.csv"), "BTC-USD")) == ["BTC-USD"]


def test_a_file_without_an_asset_column_needs_an_asset_id(tmp_path: Path) -> None:
    assert "`asset_id`" in refusal(save(table(), tmp_path / "bars.csv"), UsageError, None)


def test_an_asset_that_is_not_there_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    path = save(pd.concat([table("BTC-USD"), table("ETH-USD")]), tmp_path / "bars.csv")

    line = refusal(path, asset_id="BTX-USD")

    assert "asset 'BTX-USD' is not in" in line
    assert "did you mean 'BTC-USD'? (there are BTC-USD, ETH-USD)" in line


@pytest.mark.parametrize("name", ["none.csv", "none.parquet", "."])
def test_a_file_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    assert "must exist" in refusal(tmp_path / name, UsageError)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bars.csv", b""),
        ("bars.csv", b"dat\xe9,open\n1,2\n"),
        ("bars.csv.gz", b"no gzip"),
        ("bars.parquet", b"no parquet"),
    ],
    ids=["empty", "latin-1", "gzip", "parquet"],
)
def test_a_file_that_cannot_be_parsed_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    assert "must be CSV, Parquet or feather" in refusal(path)


@pytest.mark.parametrize("header", [HEADER, f"asset,{HEADER}"], ids=["one asset", "asset column"])
def test_a_file_without_a_row_is_refused(tmp_path: Path, header: str) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(f"{header}\n")

    refusal(path, asset_id=None if "asset" in header else "BTC")


@pytest.mark.parametrize(
    ("columns", "lacking"),
    [
        (["date", "open", "high", "close"], "lacks low, volume"),
        (list(BARS), "needs a column date or timestamp, and"),
        (["open"], "lacks date or timestamp, high, low, close, volume"),
    ],
)
def test_missing_columns_are_named_with_those_that_there_are(tmp_path: Path, columns: list[str], lacking: str) -> None:
    line = refusal(save(table()[columns], tmp_path / "bars.csv"))

    assert lacking in line
    assert f"it has {', '.join(columns)}" in line


@pytest.mark.parametrize(
    ("first", "second"), [("timestamp", "date"), ("date", "time"), ("asset", "symbol"), ("asset_id", "ticker")]
)
def test_two_columns_that_say_the_same_are_refused(tmp_path: Path, first: str, second: str) -> None:
    rows = table("BTC")
    known = "date" if first in rows or second in rows else "asset"
    rows = rows.assign(**{first: rows[known], second: rows[known]})

    line = refusal(save(rows, tmp_path / "bars.csv"))

    assert first in line
    assert second in line


def test_two_columns_of_one_name_in_two_cases_are_refused(tmp_path: Path) -> None:
    assert "close" in refusal(save(table().assign(Close=1.0), tmp_path / "bars.csv"))


UNFIT = {
    "missing": ("close", [11.0, np.nan, 14.0], "must be finite", "nan"),
    "infinite": ("high", [13.0, np.inf, 15.75], "must be finite", "inf"),
    "zero": ("low", [9.0, 0.0, 11.0], "must be above zero", "0.0"),
    "negative": ("open", [10.5, -11.25, 12.0], "must be above zero", "-11.25"),
    "negative volume": ("volume", [1000.0, -7.5, 2500.5], "must not be negative", "-7.5"),
}


@pytest.mark.parametrize(("column", "values", "rule", "value"), UNFIT.values(), ids=UNFIT.keys())
class TestAnUnfitValue:
    def test_is_refused_with_the_rule_and_its_place(
        self, tmp_path: Path, column: str, values: list[float], rule: str, value: str
    ) -> None:
        line = refusal(save(table("BTC").assign(**{column: values}), tmp_path / "bars.csv"))

        for part in (rule, "'BTC'", column, "2024-01-02"):
            assert part in line

    def test_is_shown(self, tmp_path: Path, column: str, values: list[float], rule: str, value: str) -> None:
        line = refusal(save(table("BTC").assign(**{column: values}), tmp_path / "bars.csv"))

        assert re.search(rf"(?<![\w.]){re.escape(value)}(?!\w)", line)


def test_only_the_asset_that_is_asked_for_has_to_be_fit(tmp_path: Path) -> None:
    path = save(pd.concat([table("BTC"), table("ETH").assign(close=-1.0)]), tmp_path / "bars.csv")

    pd.testing.assert_frame_equal(read_prices(path, "BTC")["BTC"], expected(table()))


@pytest.mark.parametrize("column", ["low", "volume"])
def test_words_in_a_column_of_numbers_are_refused(tmp_path: Path, column: str) -> None:
    rows = table("BTC").astype({column: object})
    rows.loc[1, column] = "many"

    line = refusal(save(rows, tmp_path / "bars.csv"))

    assert "must be numbers" in line
    assert column in line
    assert "BTC" in line


def test_the_word_in_a_column_of_numbers_is_shown(tmp_path: Path) -> None:
    assert "'many'" in refusal(save(table("BTC").assign(low="many"), tmp_path / "bars.csv"))


@pytest.mark.parametrize(
    "dates",
    [
        ["2024-01-01", "yesterday", "2024-01-03"],
        ["2024-01-01", "2024-02-30", "2024-01-03"],
        ["2024-01-01", "2024-01-02", "9999-12-31"],
        [45292, 45293, 45294],
        [1, 2, 3],
    ],
    ids=["words", "30 February", "year 9999", "days of a spreadsheet", "counted rows"],
)
@pytest.mark.parametrize("name", ["bars.csv", "bars.parquet"])
def test_dates_that_are_none_are_refused(tmp_path: Path, name: str, dates: list[object]) -> None:
    line = refusal(save(table("BTC").assign(date=dates), tmp_path / name))

    assert "column 'date' must hold dates" in line
    assert str(next(date for date in dates if date not in DATES)) in line


def test_rows_without_a_date_are_named(tmp_path: Path) -> None:
    line = refusal(save(table("BTC").assign(date=["2024-01-01", None, None]), tmp_path / "bars.csv"))

    assert "every row must have a date" in line
    assert "line 3: asset 'BTC' has none (and line 4)" in line


def test_rows_without_an_asset_are_named(tmp_path: Path) -> None:
    line = refusal(save(table().assign(asset=["BTC", None, None]), tmp_path / "bars.csv"))

    assert "every row must name its asset" in line
    assert "line 3: column 'asset' has none (and line 4)" in line


@pytest.mark.parametrize("again", ["2024-01-02", "2024-01-02T00:00:00", "2024-01-02 01:00:00+01:00"])
def test_doubled_timestamps_are_refused_with_the_timestamp(tmp_path: Path, again: str) -> None:
    rows = pd.DataFrame({**table("BTC"), "date": pd.to_datetime([*DATES[:2], again], utc=True, format="ISO8601")})

    line = refusal(save(rows, tmp_path / "bars.csv"))

    assert "timestamps must be unique" in line
    assert "line 3: asset 'BTC' has 2024-01-02 00:00:00 also in line 4 of" in line


def test_one_timestamp_may_belong_to_two_assets(tmp_path: Path) -> None:
    path = save(pd.concat([table("BTC"), table("ETH")]), tmp_path / "bars.csv")

    assert {len(bars) for bars in read_prices(path).values()} == {3}


def test_the_demo_is_twenty_years_of_the_sp500() -> None:
    bars = demo_prices()["SPX"]

    assert len(bars) == 5031
    assert bars["close"].round(2).iloc[[0, -1]].to_dict() == {
        pd.Timestamp("1999-01-04"): 1228.10,
        pd.Timestamp("2018-12-31"): 2506.85,
    }


@pytest.mark.parametrize("name", ["000001", "NA", "1e5"])
def test_an_asset_keeps_its_name_whatever_it_looks_like(tmp_path, name):
    path = tmp_path / "bars.csv"
    path.write_text(f"date,open,high,low,close,volume,asset\n2024-01-02,1,2,0.5,1.5,10,{name}\n")
    assert list(read_prices(path)) == [name]
