"""CSV files are read however they are laid out, which is said, or refused with the flag that reads them."""

import re
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyarrow import feather

from kallos.errors import DataError, KallosError, UsageError
from kallos.features.files.features import read_features
from kallos.features.files.layouts import FileLayout, names_of
from kallos.features.files.prices import read_bars
from kallos.features.files.rows import InputReading, Inputs
from kallos.features.files.sources import Source, find_sources
from kallos.features.files.timestamps import TimestampReading

CLOSES = [2.0, 3.0, 4.0]
ROWS = [f"2024-01-0{day},{day}.5,{day + 2},{day}.25,{day + 1},{day * 100}" for day in (1, 2, 3)]
HEADER = "date,open,high,low,close,volume"


def bars(content: str, *, asset_id: str | None = "A", exclude: tuple[str, ...] = (), **layout: Any) -> Inputs:
    reading = InputReading(asset_id=asset_id, exclude=exclude, layout=FileLayout(**layout))
    return read_bars([Source("own.csv", content=content.encode())], reading)


def features(content: str, *, exclude: tuple[str, ...] = (), **layout: Any) -> Inputs:
    reading = InputReading(asset_id="A", exclude=exclude, layout=FileLayout(**layout))
    return read_features([Source("own.csv", content=content.encode())], reading)


def said(inputs: Inputs) -> list[str]:
    return [note.removeprefix("own.csv: ") for note in inputs.notes]


def refusal(content: str, kind: type[KallosError] = DataError, read: Any = bars, **given: Any) -> str:
    with pytest.raises(kind) as caught:
        read(content, **given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Separators


@pytest.mark.parametrize(("separator", "name"), [(";", "';'"), ("\t", "tabs"), ("|", "'|'")])
def test_a_separator_other_than_the_comma_is_found_and_said(separator: str, name: str) -> None:
    content = "\n".join([HEADER, *ROWS]).replace(",", separator)

    read = bars(content)

    assert read.frames["A"]["close"].tolist() == CLOSES
    assert said(read) == [f"fields are separated by {name}"]
    assert said(bars(content, separator=separator)) == []
    assert said(bars("\n".join([HEADER, *ROWS]))) == []


def test_commas_in_numbers_are_no_separators_where_the_header_has_none() -> None:
    content = "date;x;y\n2024-01-01;1,5;2,5\n2024-01-02;1,75;2\n2024-01-03;3;4\n"

    line = refusal(content, read=features)
    read = features(content, decimal_comma=True)

    assert "`decimal_comma`" in line
    assert read.frames["A"].to_numpy().tolist() == [[1.5, 2.5], [1.75, 2], [3, 4]]


def test_a_point_is_no_decimal_point_beside_a_decimal_comma() -> None:
    line = refusal("date;x\n2024-01-01;1.234,5\n2024-01-02;1.234\n2024-01-03;5\n", read=features, decimal_comma=True)

    assert "line 2: asset 'A' has x '1.234,5'" in line
    assert "(and line 3)" in line


def test_two_separators_that_fit_alike_are_refused_until_one_is_named() -> None:
    content = "2024-01-01;1,5;2,5\n2024-01-02;3,5;4,5\n"
    names = {"header": ("date", "x", "y"), "decimal_comma": True}

    line = refusal(content, read=features, **names)

    assert "own.csv may be separated by ',' as well as by ';'; give `separator`" in line
    assert features(content, separator=";", **names).frames["A"]["y"].tolist() == [2.5, 4.5]


@pytest.mark.parametrize("separator", ["", ";;", '"', "\n"])
def test_a_separator_that_is_none_is_refused(separator: str) -> None:
    with pytest.raises(UsageError, match="`separator` must be one character"):
        FileLayout(separator=separator)


# Lines above the header


def test_a_line_above_the_header_is_left_out_and_said() -> None:
    read = bars("\n".join(["https://example.org", HEADER, *ROWS]))

    assert read.frames["A"]["close"].tolist() == CLOSES
    assert said(read) == ["line 1 (https://example.org) is above the header and is skipped"]


def test_lines_are_counted_from_the_top_of_a_file_with_lines_above_its_header() -> None:
    content = "\n".join(["Bars of a broker", "", HEADER, *ROWS]).replace(",4.5", ",x")

    assert "line 6: asset 'A' has close 'x'" in refusal(content.replace(",4,300", ",x,300"))


def test_columns_that_are_missing_are_told_with_a_flag_that_names_them_and_how_the_file_was_read() -> None:
    content = "\n".join(["https://example.org", HEADER.replace("volume", "Volume BTC,Volume USD"), *ROWS])

    line = refusal(re.sub(r"(\d00)$", r"\1,\1", content, flags=re.M))

    assert "lacks volume (it has date, open" in line
    assert line.endswith("(line 1 (https://example.org) is above the header and is skipped)")
    assert "`column` 'volume=Volume BTC' or `column` 'volume=Volume USD'" in line


@pytest.mark.parametrize(
    ("above", "shown"),
    [
        (["Source,Foo"], "line 1 of own.csv does not: Source,Foo; line 2 has 6 names"),
        (["# made by foo, on 2024"], "line 1 of own.csv does not: # made by foo,on 2024; line 2 has 6 names"),
        (["Source,Foo", "Made,by hand"], "lines 1 to 2 of own.csv do not: Source,Foo; line 3 has 6 names"),
        (["Source,Foo", ""], "lines 1 to 2 of own.csv do not: Source,Foo; line 3 has 6 names"),
    ],
)
@pytest.mark.parametrize("read", [bars, features])
def test_a_title_with_a_separator_in_it_is_refused_with_the_flag_that_leaves_it_out(
    read: Any, above: list[str], shown: str
) -> None:
    content = "\n".join([*above, HEADER, *ROWS])

    line = refusal(content, read=read)

    assert shown in line
    assert line.endswith(f"`skip_lines` {len(above)}")
    assert "skip_bad_rows" not in line
    assert read(content, skip_lines=len(above)).frames["A"]["close"].tolist() == CLOSES


def test_rows_that_all_have_a_field_too_many_are_not_to_be_left_out() -> None:
    line = refusal("\n".join([HEADER, *(f"{row}," for row in ROWS)]))

    assert "line 2: 7 fields, and the header has 6" in line
    assert "skip_bad_rows" not in line


def test_as_many_lines_as_are_named_are_left_out_above_the_header() -> None:
    content = "\n".join(["Made on 2024-01-09, by hand", "for us, all", HEADER, *ROWS])

    assert bars(content, skip_lines=2).frames["A"]["close"].tolist() == CLOSES
    assert "`skip_lines`" in refusal("\n".join(["Bars, daily", HEADER, *ROWS]), read=features)
    with pytest.raises(UsageError, match="`skip_lines` must not be negative"):
        FileLayout(skip_lines=-1)


# Files without a header


def klines(each_millisecond: int) -> str:
    rows = []
    for hour in range(3):
        start = (1717200000000 + hour * 3_600_000) * each_millisecond
        end = start + 3_600_000 * each_millisecond - 1
        rows.append(f"{start},{hour + 1}.5,{hour + 3},{hour + 1},{hour + 2},9.0,{end},1.0,5,1.0,1.0,0")
    return "\n".join(rows)


@pytest.mark.parametrize("each_millisecond", [1, 1000])
def test_klines_without_a_header_are_known_by_their_shape(each_millisecond: int) -> None:
    read = bars(klines(each_millisecond))

    assert read.frames["A"]["close"].tolist() == CLOSES
    # 1717200000 is the first second of June 2024 (date -u -d @1717200000).
    assert [str(timestamp) for timestamp in read.frames["A"].index] == [
        f"2024-06-01 0{hour}:00:00" for hour in range(3)
    ]
    assert "there is no header: columns are read as Binance's klines, open_time, open, high" in said(read)[0]


def test_a_file_of_twelve_columns_that_are_no_klines_is_not_taken_for_any() -> None:
    overlapping = klines(1).replace("1717203599999", "1717203600001")

    assert "own.csv has no header: line 1 is 1717200000000,1.5," in refusal(overlapping)


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        (ROWS, "timestamp,open,high,low,close,volume"),
        ([row.replace("2024-01-0", "2024010").replace(",", " 093000;", 1) for row in ROWS], None),
        ([row.replace(",", ",09:30,", 1) for row in ROWS], "date,time,open,high,low,close,volume"),
        ([f"{row},7" for row in ROWS], "timestamp,open,high,low,close,volume,x7"),
    ],
    ids=["a date", "a date and a clock", "a date, and a clock", "one more"],
)
def test_a_file_without_a_header_is_read_with_the_flag_that_its_refusal_shows(
    rows: list[str], names: str | None
) -> None:
    content = "\n".join(rows) if names else "\n".join(rows).replace(",", ";")

    line = refusal(content)
    flag = line.rpartition("`header` ")[2]
    read = bars(content, header=names_of(flag))

    assert f"own.csv has no header: line 1 is {content.splitlines()[0]}" in line
    assert flag == (names or "timestamp,open,high,low,close,volume")
    assert read.frames["A"]["close"].tolist() == CLOSES


def test_names_for_a_file_that_has_a_header_are_refused() -> None:
    content = "\n".join([HEADER, *ROWS])

    line = refusal(content, UsageError, header=names_of("a,b,c,d,e,f"))

    assert "line 1 of own.csv is one: date,open,high" in line
    assert "`skip_lines` 1" in line
    renamed = bars(content, skip_lines=1, header=names_of("date,close,high,low,open,volume"))
    assert renamed.frames["A"]["open"].tolist() == CLOSES


@pytest.mark.parametrize("names", ["date,open", "date,open,high,low,close,volume,more"])
def test_names_of_other_number_than_the_columns_are_refused(names: str) -> None:
    line = refusal("\n".join(ROWS), UsageError, header=names_of(names))

    assert f"it has {names.count(',') + 1} names, and line 1 of own.csv has 6 fields" in line


def test_names_that_are_numbers_make_a_header_all_the_same() -> None:
    read = features("date,1,20,20240101\n2024-01-01,1,2,3\n2024-01-02,4,5,6\n")

    assert read.frames["A"].columns.tolist() == ["1", "20", "20240101"]
    assert len(read.frames["A"]) == 2


def test_brackets_around_all_names_are_no_part_of_them() -> None:
    content = "\n".join(["<TICKER>,<DATE>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>", *(f"X.US,{row}" for row in ROWS)])
    reading = InputReading(columns={"volume": "vol"})

    line = refusal(content, asset_id=None)
    read = read_bars([Source("own.csv", content=content.encode())], reading)

    assert "`column` volume=VOL" in line
    assert read.frames["X.US"]["close"].tolist() == CLOSES


# Headers of several lines


def test_a_header_with_a_line_of_tickers_is_one_assets() -> None:
    content = "Price,Close,High,Low,Open,Volume\nTicker,MSFT,MSFT,MSFT,MSFT,MSFT\nDate,,,,,\n"
    content += "2024-01-01,2,3,1,1.5,100\n2024-01-02,3,4,2,2.5,200\n2024-01-03,4,5,3,3.5,x\n"

    named = bars(content.replace(",x", ",300"))
    unnamed = bars(content.replace(",x", ",300"), asset_id=None)

    assert named.frames["A"]["close"].tolist() == CLOSES
    assert named.frames["A"]["open"].tolist() == [1.5, 2.5, 3.5]
    assert list(unnamed.frames) == ["MSFT"]
    assert said(named) == ["the header has three lines, one of which names the assets: MSFT"]
    assert "line 6: asset 'A' has volume 'x'" in refusal(content)


def side_by_side(levels: list[Any]) -> pd.DataFrame:
    """Return bars of A and B in columns beside each other; of B there is none on the second day."""
    offsets = {"open": 0.1, "high": 0.4, "low": 0.0, "close": 0.3, "volume": 5}
    days = pd.Index(["2024-01-01", "2024-01-02", "2024-01-03"], name="Date")
    columns = {
        (price, asset): [first + offset, None if asset == "B" else first + 1 + offset, first + 2 + offset]
        for price, offset in offsets.items()
        for asset, first in (("A", 1), ("B", 11))
    }
    return pd.DataFrame(columns, index=days).rename_axis(columns=levels)


@pytest.mark.parametrize("levels", [["Price", "Ticker"], [None, None]], ids=["named", "nameless"])
@pytest.mark.parametrize("swapped", [False, True], ids=["prices first", "tickers first"])
def test_assets_side_by_side_are_read_one_by_one(levels: list[Any], swapped: bool) -> None:
    frame = side_by_side(levels)
    content = (frame.swaplevel(axis=1).sort_index(axis=1) if swapped else frame).to_csv()

    read = bars(content, asset_id=None).frames
    only = bars(content, asset_id="B").frames

    assert {asset: rows["close"].tolist() for asset, rows in read.items()} == {"A": [1.3, 2.3, 3.3], "B": [11.3, 13.3]}
    assert list(only) == ["B"]
    assert only["B"].equals(read["B"])


def test_features_side_by_side_need_a_name_for_the_line_of_assets() -> None:
    content = "{},rsi,adx,rsi\n{},A,A,B\nDate,,,\n2024-01-01,1,2,3\n"

    line = refusal(content.format("", ""), read=features)
    named = read_features([Source("own.csv", content=content.format("feature", "symbol").encode())], InputReading())

    assert "lines 1 and 2 of own.csv do not; begin that line with Ticker" in line
    assert {asset: rows["rsi"].tolist() for asset, rows in named.frames.items()} == {"A": [1], "B": [3]}
    assert named.frames["B"]["adx"].isna().all()


# Columns that are left out


def test_a_column_of_text_is_left_out_with_the_flag_that_its_refusal_shows() -> None:
    content = "date,x,my note\n2024-01-01,1,ok\n2024-01-02,2,\n2024-01-03,3,bad\n"

    line = refusal(content, read=features, exclude=())
    flags = shlex.split(line.rpartition("with `exclude`")[2])
    read = features(content, exclude=tuple(flags))

    assert "column 'my note' of own.csv holds text such as 'ok', and no number" in line
    assert flags == ["my note"]
    assert read.frames["A"].columns.tolist() == ["x"]


def test_skipping_bad_rows_does_not_hide_that_a_column_is_text() -> None:
    reading = InputReading(asset_id="A", skip_bad_rows=True)
    with pytest.raises(DataError, match="`exclude` note"):
        read_features([Source("own.csv", content=b"date,x,note\n2024-01-01,1,ok\n")], reading)


def test_some_text_in_a_column_of_numbers_is_told_with_its_line_and_both_remedies() -> None:
    line = refusal("date,x\n2024-01-01,1\n2024-01-02,two\n", read=features)

    assert "line 3: asset 'A' has x 'two'" in line
    assert "leave out other columns with `exclude` x, or leave such rows out with `skip_bad_rows`" in line


def test_a_column_without_a_name_can_be_left_out() -> None:
    content = ",date,x\n0,2024-01-01,1\n"

    assert "`exclude` ''" in refusal(content, read=features)
    assert features(content, exclude=("",)).frames["A"].columns.tolist() == ["x"]


def test_a_column_to_leave_out_that_there_is_not_is_refused() -> None:
    line = refusal("date,x,note\n2024-01-01,1,ok\n", UsageError, read=features, exclude=("noet",))

    assert "column 'noet' of `exclude` is not in own.csv: did you mean 'note'?" in line


def test_of_several_files_one_may_lack_what_is_left_out() -> None:
    sources = [
        Source("a.csv", content=b"date,x,note\n2024-01-01,1,ok\n"),
        Source("b.csv", content=b"date,x\n2024-01-02,2\n"),
    ]

    read = read_features(sources, InputReading(asset_id="A", exclude=("Note",)))

    assert read.frames["A"]["x"].tolist() == [1, 2]


# Feather


def test_feather_files_are_read_as_parquet_files_are(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"date": pd.date_range("2024-01-01", periods=3, unit="ns"), "open": 1.5, "high": 5, "low": 1, "close": CLOSES}
    ).assign(volume=7)
    feather.write_feather(frame, tmp_path / "BTC_USDT-1h.feather")

    read = read_bars(find_sources([tmp_path]), InputReading()).frames

    assert read["BTC_USDT-1h"]["close"].tolist() == CLOSES
    assert [str(timestamp.date()) for timestamp in read["BTC_USDT-1h"].index] == [
        "2024-01-01",
        "2024-01-02",
        "2024-01-03",
    ]


def test_a_feather_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.feather").write_bytes(b"ARROW1" + bytes(100))

    with pytest.raises(DataError, match="must be CSV, Parquet or feather"):
        read_bars(find_sources([tmp_path]), InputReading())


# Files as their sources write them

BARS = [f"{day + 0.5},{day + 2},{day},{day + 1}" for day in (1, 2, 3)]


def lines(row: str, header: str = "", last: str = ",9", days: tuple[str, ...] = ("01", "02", "03")) -> str:
    """Return a file of three rows: `@` is the day, `OHLC` its open, high, low and close."""
    rows = [row.replace("@", day).replace("OHLC", bar) + last for day, bar in zip(days, BARS, strict=True)]
    return "\n".join([*([header] if header else []), *rows]) + "\n"


SOURCES = {
    "yfinance, history()": (
        lines("2024-01-@,OHLC", "Date,Open,High,Low,Close,Volume,Dividends,Stock Splits", ",9,0.0,0.0"),
        {},
    ),
    "yfinance, intraday": (
        lines("2024-01-@ 00:00:00+00:00,OHLC", "Datetime,Open,High,Low,Close,Volume"),
        {},
    ),
    "Binance, with a header": (
        lines(
            "@,OHLC",
            "open_time,open,high,low,close,volume,close_time,ignore",
            ",9,1704153599999,0",
            ("1704067200000", "1704153600000", "1704240000000"),
        ),
        {},
    ),
    "CryptoDataDownload": (
        lines(
            "1704067200000,2024-01-@ 00:00:00,BTC/USDT,OHLC",
            "https://www.CryptoDataDownload.com\nunix,date,symbol,open,high,low,close,Volume BTC,Volume USDT,trades",
            ",9,90,5",
        ),
        {"columns": {"volume": "Volume BTC"}, "asset_id": None},
    ),
    "MetaTrader 5": (
        lines("2024.01.@,00:00:00,OHLC", "<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<TICKVOL>,<VOL>", ",9,0").replace(
            ",", "\t"
        ),
        {"columns": {"volume": "TICKVOL"}},
    ),
    "MetaTrader 4": (
        lines("2024.01.@,00:00,OHLC"),
        {"layout": FileLayout(header=("date", "time", "open", "high", "low", "close", "volume"))},
    ),
    "stooq": (
        lines("AAPL.US,5,202401@,000000,OHLC", "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>"),
        {"columns": {"volume": "VOL"}, "asset_id": None},
    ),
    "HistData": (
        lines("202401@ 000000,OHLC", last=",0").replace(",", ";"),
        {"layout": FileLayout(header=("timestamp", "open", "high", "low", "close", "volume"))},
    ),
    "a spreadsheet": (
        lines("@.01.2024,OHLC", "Datum,Eröffnung,Hoch,Tief,Schluss,Volumen").replace(",", ";").replace(".5;", ",5;"),
        {
            "columns": {"open": "Eröffnung", "high": "Hoch", "low": "Tief", "close": "Schluss", "volume": "Volumen"},
            "timestamp_column": "Datum",
            "timestamps": TimestampReading(date_format="%d.%m.%Y"),
            "layout": FileLayout(decimal_comma=True),
        },
    ),
}


@pytest.mark.parametrize(("content", "how"), SOURCES.values(), ids=SOURCES)
def test_a_file_is_read_as_its_source_writes_it(content: str, how: dict[str, Any]) -> None:
    reading = InputReading(**{"asset_id": "A", **how})

    (rows,) = read_bars([Source("own.csv", content=content.encode())], reading).frames.values()

    assert rows["close"].tolist() == CLOSES
    assert [str(timestamp) for timestamp in rows.index] == [f"2024-01-0{day} 00:00:00" for day in (1, 2, 3)]
