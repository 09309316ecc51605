"""A catalogue of faults: each planted in otherwise good rows, and found with its name and place."""

import re
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kallos.checks import FAULTS, FIXES, examine, repair, study_lines
from kallos.checks.shifts import shifted_columns
from kallos.errors import DataError, KallosError, UsageError
from kallos.features.files.indicators import compute_indicators
from kallos.features.rows import tidy
from kallos.folds.columns import study_frame
from kallos.planning import plan_study
from kallos.specs.data import FeatureSpec
from kallos.specs.study import TuneSpec
from kallos.words import counted
from tests.samples import make_features, small_spec

ROOT = Path(__file__).parents[3]
DATA = ROOT.parent / "shared" / "data"
NOW = pd.Timestamp("2021-06-01")
GOOD = make_features()


def as_read(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows as a store reads them: the timestamps a column like any other."""
    return frame.rename_axis("timestamp").reset_index()


def day(row: int) -> str:
    """Return the timestamp of a row of the good ones."""
    return str(GOOD.index[row])


@dataclass(frozen=True)
class Case:
    """A fault, how it is planted in good rows, and where it is to be found."""

    fault: str
    plant: Callable[[pd.DataFrame], pd.DataFrame]
    column: str | None = None
    first: str | None = None
    fold: int | None = None
    parameter: str | None = None
    over: dict[str, Any] = field(default_factory=dict)
    others: frozenset[str] = frozenset()
    name: str = ""


def put(column: str, rows: Any, value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def plant(rows_: pd.DataFrame) -> pd.DataFrame:
        planted = rows_.copy()
        planted[column] = planted[column].astype(object) if isinstance(value, str | bool | None) else planted[column]
        planted.loc[rows, column] = value
        return planted if isinstance(value, str | bool) else planted.astype({column: float})

    return plant


def add(**columns: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda rows: rows.assign(**columns)


def timestamps(change: Callable[[pd.Series], Any]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda rows: rows.assign(timestamp=change(rows["timestamp"]))


def as_text(timestamp_of: Callable[[int, pd.Timestamp], str | None]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return timestamps(lambda column: [timestamp_of(row, timestamp) for row, timestamp in enumerate(column)])


def set_timestamp(row: int, timestamp: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return as_text(lambda place, own: timestamp if place == row else str(own))


def half_hourly(rows: pd.DataFrame) -> pd.DataFrame:
    hours = pd.date_range(GOOD.index[249], periods=151, freq="h")
    return rows.assign(timestamp=[*GOOD.index[:249], *hours])


def integers(values: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return timestamps(lambda _: np.asarray(values))


def jump(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(volume=rows["volume"].where(np.arange(400) < 150, rows["volume"] * 1000))


def level(rows: pd.DataFrame) -> pd.DataFrame:
    price = 100 + 20 * np.sin(np.arange(400) / 60) + 0.1 * WALK[:400]
    price[200] += 45
    return rows.assign(price=price)


WALK = np.random.default_rng(7).normal(size=420)
PRICE = 100 * np.exp(np.cumsum(0.01 * WALK[:400]))
OPEN = PRICE * np.exp(0.002 * np.random.default_rng(8).normal(size=400))
WEEKLY = np.where(np.arange(400) % 7 == 0, WALK[:400], np.nan)
LABEL = {"features": {"target": "label", "label_horizon": 7}}


def forward_label(rows: pd.DataFrame, ahead: int = 7) -> pd.DataFrame:
    price = 100 * np.exp(np.cumsum(0.01 * WALK[:400]))
    later = pd.Series(price).shift(-ahead).to_numpy()
    return rows.assign(label=later / price - 1)


CASES = [
    Case("colliding-columns", lambda rows: pd.concat([rows, rows[["macd"]] + 1], axis=1), "macd"),
    Case("similar-column-names", add(MACD=WALK[:400]), "MACD"),
    Case("no-timestamp-column", lambda rows: rows.rename(columns={"timestamp": "when"}), parameter="timestamp_column",
         others=frozenset({"object-column"})),
    Case("missing-timestamps", as_text(lambda row, own: None if row == 399 else str(own)), "timestamp"),
    Case("unreadable-timestamps", set_timestamp(399, "yesterday"), "timestamp", "'yesterday'"),
    Case("unreadable-timestamps", set_timestamp(399, "9999-12-31"), "timestamp", "'9999-12-31'", name="far future"),
    Case("unreadable-timestamps", timestamps(lambda column: column.astype("int64") / 1e9 + 0.5), "timestamp",
         "1577836800.5", name="fractions"),
    Case("mixed-time-zones", as_text(lambda row, own: f"{own}+00:00" if row == 17 else str(own)), "timestamp",
         f"{day(17)}+00:00"),
    Case("differing-offsets",
         as_text(lambda row, own: f"{own - pd.Timedelta(hours=2)}-02:00" if row == 17 else f"{own}+00:00"), "timestamp",
         f"{GOOD.index[17] - pd.Timedelta(hours=2)}-02:00"),
    Case("local-days", as_text(lambda row, own: f"{own}+01:00"), "timestamp", parameter="days_in"),
    Case("days-elsewhere",
         timestamps(lambda column: column.dt.tz_localize("America/New_York").dt.tz_convert("UTC").dt.tz_localize(None)),
         "timestamp", "2020-01-01 05:00:00", parameter="days_in"),
    Case("epoch-timestamps", set_timestamp(0, "1970-01-01 00:00:00"), "timestamp", "1970-01-01 00:00:00"),
    Case("epoch-timestamps", timestamps(lambda column: pd.to_datetime(column.astype("int64") // 10**9)), "timestamp",
         "1970-01-01 00:00:01.577836800", name="seconds read as nanoseconds", others=frozenset({"too-few-rows"})),
    Case("future-timestamps", timestamps(lambda column: column + pd.Timedelta(days=130)), "timestamp",
         "2021-06-03 00:00:00"),
    Case("off-clock-row", lambda rows: pd.concat([rows, rows.iloc[-1:].assign(
        timestamp=rows["timestamp"].iloc[-1] + pd.Timedelta(hours=16))]), "timestamp", "2021-02-03 16:00:00"),
    Case("unfinished-row", timestamps(lambda each: each + pd.Timedelta(days=118)), "timestamp", "2021-06-01 00:00:00"),
    Case("unfinished-row", put("volume", 399, 0.0), "volume", day(399), name="of hardly any volume"),
    Case("no-rows", add(), parameter="start_date", over={"data": {"start_date": "2030-01-01"}}),
    Case("duplicate-timestamps", lambda rows: rows.iloc[[*range(400), 17]], "timestamp", day(17),
         others=frozenset({"unsorted-rows"})),
    Case("missing-rows", lambda rows: rows.drop(index=[200, 201]), "timestamp", day(200)),
    Case("irregular-timestamps", set_timestamp(200, f"{GOOD.index[200]:%Y-%m-%d} 07:00:00"), "timestamp",
         f"{GOOD.index[200]:%Y-%m-%d} 07:00:00", others=frozenset({"missing-rows"})),
    Case("mixed-frequency", half_hourly, "timestamp", day(249)),
    Case("shifted-rows", timestamps(lambda column: [own if row != 17 else own - pd.Timedelta(days=1) for row, own in
         enumerate(pd.date_range("2010-01-01", periods=400, freq="W-FRI"))]), "timestamp", "2010-04-29 00:00:00"),
    Case("too-few-timestamps", lambda rows: rows.iloc[:2], "timestamp", parameter="frequency",
         others=frozenset({"too-few-rows"})),
    Case("unsorted-rows", lambda rows: rows.iloc[[1, 0, *range(2, 400)]], "timestamp", day(0)),
    Case("integer-epochs", timestamps(lambda column: column.dt.strftime("%Y%m%d").astype("int64")), "timestamp",
         f"{GOOD.index[0]:%Y%m%d}", name="dates by their digits", over={"folds": {"window": 40}}),
    Case("integer-epochs", timestamps(lambda column: column.astype("int64") // 10**9), "timestamp",
         str(1577836800), over={"folds": {"window": 40}}),
    Case("integer-gaps", integers([*range(100), *range(103, 403)]), "timestamp", "103"),
    Case("missing-target", lambda rows: rows.drop(columns="log_return_close"), "log_return_close", parameter="target"),
    Case("idle-pattern", add(), parameter="exclude", over={"features": {"exclude": ["weekdya"]}}),
    Case("text-column", add(sector="tech"), "sector", day(0)),
    Case("text-column", put("macd", 17, "n/a"), "macd", day(17), name="a word among numbers"),
    Case("boolean-column", add(is_open=WALK[:400] > 0), "is_open", day(0)),
    Case("object-column", add(price=[Decimal(str(value)) for value in WALK[:400]]), "price", day(0)),
    Case("integer-overflow", add(volume_wei=[2**70 + int(2**68 * x) for x in WALK[:400]]), "volume_wei", day(0)),
    Case("float-overflow", put("macd", 300, 1e300), "macd", day(300), others=frozenset({"outlier"})),
    Case("imprecise-integers", add(order_id=2**53 + np.arange(400) ** 2 * 10**9), "order_id", day(1)),
    Case("empty-column", add(sentiment=None), "sentiment"),
    Case("leading-missing-values", put("macd", range(26), None), "macd", day(0)),
    Case("inner-missing-values", put("macd", [200, 205], None), "macd", day(200)),
    Case("trailing-missing-values", put("macd", range(390, 400), None), "macd", day(390)),
    Case("infinite-values", put("roc_5", 200, np.inf), "roc_5", day(200)),
    Case("negative-volume", put("volume", 200, -1.0), "volume", day(200)),
    Case("negative-volatility", lambda rows: put("realised_variance", 200, -1.0)(rows.assign(
        realised_variance=WALK[:400] ** 2)), "realised_variance", day(200)),
    Case("no-logarithm", put("volume", 200, 0.0), "volume", day(200),
         over={"features": {"target": "volume", "target_transform": "log"}}),
    Case("no-logarithm", lambda rows: put("label", 3, 0.0)(forward_label(rows).assign(
        label=lambda rows: rows["label"].abs())), "label", day(3), name="of a label that is known only later",
         over={"features": {**LABEL["features"], "target_transform": "log"}}),
    Case("taken-name", add(turn_of_month=WALK[:400]), "turn_of_month",
         over={"features": {"calendar": ["turn_of_month"]}}),
    Case("taken-name", add(macd_lag_1=WALK[:400]), "macd_lag_1", over={"features": {"lags": {"macd": [1]}}},
         name="of a lag"),
    Case("missing-target", lambda rows: rows.drop(columns="log_return_close"), "log_return_close", parameter="target",
         over={"features": {"target_transform": "log"}}, name="of logarithms"),
    Case("short-label-horizon", lambda rows: forward_label(rows, 9), "label", day(391), parameter="label_horizon",
         over=LABEL),
    Case("short-label-horizon", forward_label, "label", day(393), parameter="label_horizon",
         over={"features": {"target": "label"}}, name="not said at all"),
    Case("long-label-horizon", add(), parameter="label_horizon", over={"features": {"label_horizon": 400}}),
    Case("filled-target", put("log_return_close", 200, None), "log_return_close", day(200),
         over={"data": {"fill": "forward"}}),
    Case("stale-fill", put("macd", range(390, 400), None), "macd", day(390), over={"data": {"fill": "forward"}}),
    Case("constant-target", add(log_return_close=0.1), "log_return_close"),
    Case("constant-target-in-fold", put("log_return_close", range(320, 400), 0.0), "log_return_close", day(320), 1,
         name="in all windows", others=frozenset({"frozen-column"})),
    Case("constant-target-in-window", put("log_return_close", range(320, 360), 0.0), "log_return_close", day(320), 1),
    Case("constant-target-in-fold", put("log_return_close", range(300), 0.0), "log_return_close", day(0), 1,
         name="where it trains"),
    Case("outlier", put("log_return_close", 360, float(np.log(100))), "log_return_close", day(360),
         name="of the target"),
    Case("constant-column", add(exchange=3.0), "exchange"),
    Case("near-constant-column", add(halted=(np.arange(400) == 200).astype(float)), "halted", day(200)),
    Case("near-constant-column", add(level=1e12 + np.round(WALK[:400] * 100)), "level", name="of no spread"),
    Case("constant-in-training", put("macd", range(300), 0.0), "macd", day(0), 1),
    Case("frozen-column", put("macd", range(350, 400), 1.5), "macd", day(350)),
    Case("duplicate-column", lambda rows: rows.assign(macd_again=rows["macd"]), "macd_again"),
    Case("target-copy", lambda rows: rows.assign(returns=100 * rows["log_return_close"]), "returns"),
    Case("lagged-target-copy", lambda rows: rows.assign(lag=rows["log_return_close"].shift(3).fillna(0)), "lag"),
    Case("leaking-column", lambda rows: rows.assign(next=rows["log_return_close"].shift(-1).fillna(0)), "next", day(0)),
    Case("leaking-column", lambda rows: (lambda labelled: labelled.assign(y=labelled["label"].fillna(0)))(
        forward_label(rows)), "y", day(7), over=LABEL, name="a label under another name"),
    Case("leaking-column", lambda rows: rows.assign(
        size=rows["log_return_close"].abs(), tomorrow=rows["log_return_close"].abs().shift(-1).fillna(0)),
        "tomorrow", day(0), name="another column's next row"),
    Case("shifted-column", add(first=WALK[:400], second=WALK[2:402]), "second", day(0)),
    Case("scale-jump", jump, "volume", day(150)),
    Case("outlier", put("macd", 200, 1e5), "macd", day(200)),
    Case("glitch", level, "price", day(200)),
    Case("unadjusted-split", lambda rows: rows.assign(
        open=OPEN * np.where(np.arange(400) < 200, 4, 1), close=PRICE * np.where(np.arange(400) < 200, 4, 1)),
        "open", day(200)),
    Case("too-few-rows", lambda rows: rows.iloc[:100], parameter="n_folds"),
    Case("short-window", add(), fold=1, parameter="horizon", over={"horizon": 41}),
    Case("short-training", add(), fold=1, parameter="input_chunk_length", over={"folds": {"train_rows": 50}}),
    Case("clipped-input", add(), fold=1, parameter="input_chunk_length", over={"folds": {"train_rows": 80}}),
]  # fmt: skip


def found(rows: pd.DataFrame, **over: Any) -> Any:
    return examine(rows, small_spec(**over), now=NOW)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.fault} {case.name}".strip())
def test_a_fault_is_found_with_its_name_and_place(case):
    examination = found(case.plant(as_read(GOOD)), **case.over)
    assert {finding.fault for finding in examination.findings} - case.others == {case.fault}
    finding = next(finding for finding in examination.findings if finding.fault == case.fault)
    first = finding.timestamps[0] if finding.timestamps else None
    assert (finding.column, first, finding.fold, finding.parameter) == (
        case.column, case.first, case.fold, case.parameter
    )  # fmt: skip
    assert finding.table == "features"
    assert finding.severity == FAULTS[case.fault]
    assert finding.message
    assert finding.remedy
    assert examination.is_sound == (not any(FAULTS[each.fault] == "error" for each in examination.findings))


@pytest.mark.parametrize(
    ("plant", "features", "remedied"),
    [
        (
            add(realised_gap=WALK[:400]),
            {},
            # Another group comes first, or this one has no patterns.
            [{"unbounded": ["realised_gap"]}, {"volatility": []}],
        ),
        (
            put("volume", 200, 0.0),
            {"target": "volume", "target_transform": "log"},
            [{"target": "volume", "target_transform": "none"}],
        ),
        (
            add(turn_of_month=WALK[:400]),
            {"calendar": ["turn_of_month"]},
            [{"calendar": ["turn_of_month"], "exclude": ["turn_of_month"]}],
        ),
    ],
    ids=["negative-volatility", "no-logarithm", "taken-name"],
)
def test_the_remedy_that_is_said_leaves_no_fault_and_rows_to_tune_on(plant, features, remedied):
    rows = plant(as_read(GOOD))
    (finding,) = found(rows, features=features).findings
    with pytest.raises(DataError, match=re.escape(finding.message.split(":")[0])):
        study_frame(rows.set_index("timestamp"), FeatureSpec(**features))
    for each in remedied:
        assert found(rows, features=each).findings == ()
        study_frame(rows.set_index("timestamp"), FeatureSpec(**each))


def test_the_catalogue_is_whole():
    # What only several assets can have is planted in test_panel.py, and what `ingest` has noted in test_left_out.py.
    assert {case.fault for case in CASES} == set(FAULTS) - {"halted-asset", "left-out-rows"}
    assert len(FAULTS) >= 25


@pytest.mark.parametrize(
    ("frame", "over"),
    [
        (GOOD, {}),
        (forward_label(as_read(GOOD)).set_index("timestamp"), LABEL),
        (GOOD.set_index(pd.RangeIndex(1000, 1400)), {}),
        (GOOD.set_index(pd.bdate_range("2019-01-01", periods=400)), {}),
        (GOOD.set_index(pd.date_range("2020-01-01", periods=400, freq="15min")), {}),
        (GOOD.tz_localize("UTC"), {}),
        (GOOD.assign(spare="x"), {"features": {"exclude": ["spare"]}}),
        # A value a week, filled forward: the first label's row takes it from before.
        (
            forward_label(as_read(GOOD)).set_index("timestamp").assign(weekly=WEEKLY),
            {**LABEL, "data": {"fill": "forward"}},
        ),
        # A market that opens where it closed.
        (
            GOOD.assign(open=np.r_[100.0, PRICE[:-1]], close=PRICE),
            {"features": {"target": "open", "known_now": ["close"]}},
        ),
        (GOOD.iloc[:200].set_index(pd.date_range("1970-01-01", periods=200, freq="QS")), {}),
        (GOOD.iloc[np.random.default_rng(2).permutation(400)], {"data": {"query": "SELECT * FROM prices"}}),
    ],
)
def test_in_good_rows_nothing_is_found(frame, over):
    examination = found(as_read(frame), **over)
    assert examination.findings == ()
    assert len(examination.folds) == 2


def test_all_faults_are_found_at_once():
    rows = as_read(GOOD).assign(sector="tech", exchange=3.0, next=GOOD["log_return_close"].shift(-1).to_numpy())
    rows.loc[200, "macd"] = np.nan
    rows.loc[210, "volume"] = -1.0
    rows = pd.concat([rows.drop(index=100), rows.iloc[[50]]])
    faults = {finding.fault for finding in found(rows).findings}
    assert faults >= {
        "duplicate-timestamps", "missing-rows", "text-column", "inner-missing-values", "negative-volume",
        "trailing-missing-values", "leaking-column", "constant-column",
    }  # fmt: skip
    with pytest.raises(DataError) as refused:
        found(rows).require_sound()
    lines = str(refused.value).splitlines()
    assert lines[0] == f"rows must be sound to tune on, and have {len(lines) - 1} faults:"
    assert len(lines) - 1 == len(found(rows).errors)


def test_one_fault_alone_is_one_line():
    with pytest.raises(
        DataError, match=r"^features must be finite, and macd is missing in 1 row, first .*; corr"
    ) as refused:
        found(put("macd", 200, None)(as_read(GOOD))).require_sound()
    assert len(str(refused.value).splitlines()) == 1


def test_what_a_study_would_see_is_said():
    examination = found(as_read(GOOD), data={"start_date": "2020-01-11"}, folds={"train_rows": 80})
    assert (examination.rows, examination.left_out) == (390, 10)
    assert (examination.first, examination.last) == ("2020-01-11 00:00:00", "2021-02-03 00:00:00")
    assert examination.frequency == "D"
    assert examination.columns["bounded"] == ("rsi_14",)
    # 390 rows hold nine whole windows of 40; the last two are scored, the first of them behind 280 rows.
    assert (examination.folds[0].train_end, examination.folds[0].validation_start) == (day(289), day(290))
    assert examination.longest_input == 38


def test_without_a_now_no_row_is_of_the_future():
    rows = as_read(GOOD.set_index(pd.date_range("2200-01-01", periods=400)))
    assert examine(rows, small_spec()).findings == ()


def test_rows_are_left_as_they_are():
    rows = put("macd", [0, 200], None)(as_read(GOOD))
    before = rows.copy(deep=True)
    found(rows)
    pd.testing.assert_frame_equal(rows, before)


def test_a_request_that_does_not_suit_the_rows_is_wrong_use():
    with pytest.raises(UsageError, match="ISO date"):
        found(as_read(GOOD), data={"start_date": "tomorrow"})
    with pytest.raises(UsageError, match="fortnight"):
        found(as_read(GOOD), data={"frequency": "fortnight"})


BARS = DATA / "yahoo_crypto_ohlcv_to2024.csv.gz"
needs_data = pytest.mark.skipif(not BARS.exists(), reason="real data do not lie beside the checkout")


def default_spec(**over: Any) -> TuneSpec:
    return TuneSpec.model_validate({"data": {"asset_id": "X"}, **over})


@needs_data
@pytest.mark.parametrize("asset", ["BTC", "ETH", "BNB", "SOL"])
def test_there_is_no_false_alarm_on_crypto(asset):
    bars = pd.read_csv(BARS, parse_dates=["date"])
    own = bars[bars["asset"] == asset].drop(columns="asset").set_index("date")
    examination = examine(as_read(compute_indicators(own)), default_spec(), now=pd.Timestamp("2025-01-01"))
    assert (examination.findings, examination.frequency, len(examination.folds)) == ((), "D", 5)


@pytest.mark.parametrize("index", ["sp500", "nasdaq"])
def test_there_is_no_false_alarm_on_stocks(index):
    data = pytest.importorskip(f"arch.data.{index}")
    bars = data.load().rename(columns=str.lower).astype(float)
    examination = examine(as_read(compute_indicators(bars)), default_spec(), now=pd.Timestamp("2025-01-01"))
    assert (examination.findings, examination.frequency) == ((), "sessions:D")


SIZE = GOOD["log_return_close"].abs().to_numpy()


def later(values: np.ndarray, shift: int) -> np.ndarray:
    """Return the values of so many rows later, or, below zero, of rows before; what is not there is zero."""
    return pd.Series(values).shift(-shift).fillna(0).to_numpy()


def about(rows: pd.DataFrame, **over: Any) -> list[tuple[str, str | None]]:
    return [(each.fault, each.column) for each in found(as_read(rows), **over).findings]


@pytest.mark.parametrize("shift", [1, 2, 3, 10])
@pytest.mark.parametrize(("unit", "power"), [(1.0, 1), (-100.0, 1), (1.0, 2)])
@pytest.mark.parametrize("has_present", [True, False])
def test_a_column_that_is_the_size_of_the_target_of_later_rows_is_a_leak(shift, unit, power, has_present):
    rows = GOOD.assign(ahead=unit * later(SIZE**power, shift))
    if has_present:
        rows = rows.assign(size=SIZE**power)
    (finding,) = found(as_read(rows)).findings
    assert (finding.fault, finding.severity, finding.column) == ("leaking-column", "error", "ahead")
    assert f"ahead equals the size of the target log_return_close {counted(shift, 'row')} later" in finding.message
    # A glitch, or a rounding, hides nothing.
    rows.iloc[17, rows.columns.get_loc("ahead")] += 5
    assert ("leaking-column", "ahead") in about(rows)
    assert ("leaking-column", "ahead") not in about(rows, features={"known_now": ["ahead"]})
    assert about(rows, features={"exclude": ["ahead"]}) == []


def test_lags_of_the_targets_size_are_sound():
    lags = {f"lag_{shift}": later(SIZE, -shift) for shift in (1, 2, 3, 7)}
    assert about(GOOD.assign(size=SIZE, **lags)) == []
    assert about(GOOD.assign(**lags)) == []
    # Of a family the ones before the row that belongs to the target look ahead, and the lags do not.
    assert about(GOOD.assign(size=SIZE, ahead=later(SIZE, 2), **lags)) == [("leaking-column", "ahead")]


def predicted_by(x: np.ndarray, lead: int) -> np.ndarray:
    """Return what follows a column of so many rows before, and half of it is noise."""
    return later(x, -lead) + np.random.default_rng(9).normal(size=len(x))


@pytest.mark.parametrize("lag", [1, 5])
@pytest.mark.parametrize("lead", [1, 5])
@pytest.mark.parametrize("label_horizon", [0, 5])
def test_a_sound_predictor_with_its_lag_beside_it_is_no_leak(lag, lead, label_horizon):
    x = WALK[:400]
    label = predicted_by(x, lead)
    if label_horizon:
        # As a table stamps it: what comes in the next rows, not known in the last ones.
        label = np.r_[label[label_horizon:], np.full(label_horizon, np.nan)]
    rows = GOOD.drop(columns="log_return_close").assign(y=label, x=x, x_lag=later(x, -lag))
    spec = {"features": {"target": "y", "label_horizon": label_horizon}}
    (finding,) = found(as_read(rows), **spec).findings
    assert (finding.fault, finding.severity) == ("shifted-column", "warning")
    assert finding.message.startswith(f"x equals x_lag {counted(lag, 'row')} later: ")
    assert repair(as_read(rows), small_spec(**spec), ["drop-leaks"])[0] == small_spec(**spec)


def test_of_one_series_in_many_rows_there_is_one_warning():
    x = WALK[:400]
    lags = {f"lag_{shift}": later(x, -shift) for shift in range(1, 13)}
    (finding,) = found(as_read(GOOD.assign(x=x, **lags))).findings
    assert (finding.fault, finding.column) == ("shifted-column", "x")
    assert "x equals lag_12 12 rows later (11 more columns are the same series)" in finding.message


def test_a_market_that_opens_where_it_closed_is_sound():
    rows = GOOD.drop(columns="log_return_open").assign(open=np.r_[100.0, PRICE[:-1]], close=PRICE)
    assert about(rows) == []
    assert about(rows.rename(columns={"open": "first"})) == [("shifted-column", "close")]


def test_a_label_that_is_known_later_tells_who_looks_ahead():
    rows = forward_label(as_read(GOOD)).set_index("timestamp")
    known = rows["label"].shift(7).fillna(0).abs().to_numpy()
    found_there = about(rows.assign(known=known, ahead=later(known, 1)), **LABEL)
    assert found_there == [("leaking-column", "ahead")]


def test_a_calendar_and_smooth_series_are_no_later_rows_of_each_other():
    hours = 2 * np.pi * np.arange(400) / 24
    level = pd.Series(np.cumsum(WALK[:400]))
    means = {f"mean_{span}": level.ewm(span=span).mean().to_numpy() for span in (5, 20, 21, 100, 110)}
    assert about(GOOD.assign(sine=np.sin(hours), cosine=np.cos(hours), **means)) == []


def peak_of_shifted_columns(columns: dict[str, np.ndarray]) -> tuple[list[str | None], int]:
    """Return the columns that are warned of, and the most bytes that looking for them took."""
    frame = pd.DataFrame(columns)
    tracemalloc.start()
    try:
        found_there = [each.column for each in shifted_columns(frame, default_spec(features={"target": "c0"}))]
        return found_there, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_later_rows_are_found_among_hundreds_of_columns_in_little_memory():
    rng = np.random.default_rng(5)
    columns = {f"c{position}": rng.normal(size=3000) for position in range(1200)}
    columns["ahead"] = later(columns["c7"], 4)
    found_there, peak = peak_of_shifted_columns(columns)
    assert found_there == ["ahead"]
    # One such matrix of all pairs at each of 12 shifts would take 140 MB as float64, and the rows 30 MB.
    assert peak < 100e6


def test_a_hundred_lags_of_many_rows_are_one_series():
    x = np.random.default_rng(5).normal(size=20_000)
    columns = {"c0": np.random.default_rng(6).normal(size=len(x)), **{f"x{lag}": later(x, -lag) for lag in range(101)}}
    assert peak_of_shifted_columns(columns)[0] == ["x0"]


@pytest.mark.slow
def test_later_rows_are_found_among_hundreds_of_columns_of_many_rows():
    rng = np.random.default_rng(5)
    columns = {f"c{position}": rng.normal(size=50_000) for position in range(200)}
    columns["ahead"] = later(columns["c7"], 4)
    rows = pd.DataFrame(columns, index=pd.date_range("2015-01-01", periods=50_000, freq="h"))
    examination = examine(as_read(rows), default_spec(features={"target": "c0"}))
    assert [(each.fault, each.column) for each in examination.findings] == [("shifted-column", "ahead")]


def bars_of(kind: str) -> pd.DataFrame:
    """Return three years of made-up daily bars, with a daily change of 1 % or, where they are volatile, of 4 %."""
    rng, n = np.random.default_rng(12), 750
    size = {"calm": 0.01, "volatile": 0.04}[kind]
    close = 100 * np.exp(np.cumsum(size * rng.standard_t(5, n)))
    opened = np.r_[100.0, close[:-1]] * np.exp(0.2 * size * rng.normal(size=n))
    spread = np.exp(0.3 * size * np.abs(rng.normal(size=n)))
    high, low = np.maximum(opened, close) * spread, np.minimum(opened, close) / spread
    bars = {"open": opened, "high": high, "low": low, "close": close, "volume": np.exp(rng.normal(14, 0.4, n))}
    return pd.DataFrame(bars, index=pd.bdate_range("2021-01-04", periods=n))


def split_at(bars: pd.DataFrame, row: int, ratio: float, *, moves_volume: bool) -> pd.DataFrame:
    behind = np.arange(len(bars)) >= row
    split = bars.copy()
    for name in ("open", "high", "low", "close"):
        split[name] = bars[name] / np.where(behind, ratio, 1.0)
    if moves_volume:
        split["volume"] = bars["volume"] * np.where(behind, ratio, 1.0)
    return split


@pytest.mark.parametrize("kind", ["calm", "volatile"])
@pytest.mark.parametrize("moves_volume", [True, False])
@pytest.mark.parametrize(
    ("ratio", "said"),
    [(2, "2:1"), (1.5, "3:2"), (3, "3:1"), (4, "4:1"), (5, "5:1"), (7, "7:1"), (10, "10:1"), (20, "20:1"),
     (1 / 2, "1:2"), (1 / 10, "1:10")],
)  # fmt: skip
def test_a_split_is_named_with_its_day_and_ratio(kind, moves_volume, ratio, said):
    bars = bars_of(kind)
    for rows in (bars, compute_indicators(bars)):
        target = "close" if rows is bars else "log_return_close"
        assert "unadjusted-split" not in faults_of(rows, target)
    split = split_at(bars, 402, ratio, moves_volume=moves_volume)
    for rows in (split, compute_indicators(split)):
        target = "close" if rows is split else "log_return_close"
        examination = examine(as_read(rows), default_spec(features={"target": target}))
        (finding,) = [each for each in examination.findings if each.fault == "unadjusted-split"]
        assert finding.timestamps == (str(bars.index[402]),)
        assert f"as in a split of {said} (" in finding.message


def faults_of(rows: pd.DataFrame, target: str) -> set[str]:
    return {each.fault for each in examine(as_read(rows), default_spec(features={"target": target})).findings}


def test_without_an_open_volumes_tell_a_split_from_a_fall():
    bars = bars_of("calm")
    for moves_volume in (True, False):
        rows = split_at(bars, 402, 2, moves_volume=moves_volume)[["close", "volume"]]
        assert ("unadjusted-split" in faults_of(rows, "close")) == moves_volume


def test_a_fall_by_half_within_a_day_is_no_split():
    bars = bars_of("calm")
    fallen = split_at(bars, 402, 2, moves_volume=False)
    fallen.iloc[402, fallen.columns.get_loc("open")] = bars["open"].iloc[402]
    for rows, target in ((fallen, "close"), (compute_indicators(fallen), "log_return_close")):
        assert "unadjusted-split" not in faults_of(rows, target)


@pytest.mark.parametrize("name", ["open_interest", "openInterest", "opening_hours", "Open Positions"])
def test_a_column_that_is_called_open_and_is_no_price_hides_no_split(name):
    bars = bars_of("calm")
    interest = np.exp(np.random.default_rng(3).normal(10, 0.1, len(bars)))
    split = split_at(bars, 402, 2, moves_volume=True)[["close", "volume"]].assign(**{name: interest})
    assert "unadjusted-split" in faults_of(split, "close")
    rows = split_at(bars, 402, 2, moves_volume=True).assign(**{name: interest})
    assert "unadjusted-split" in faults_of(rows, "close")
    assert "unadjusted-split" not in faults_of(bars.assign(**{name: interest}), "close")


@pytest.mark.parametrize("name", ["net_flow", "slow_k", "disclosed", "lowest_rank"])
def test_a_column_with_a_price_within_a_word_is_no_price(name):
    bars = bars_of("calm")[["close", "volume"]]
    halved = (
        50
        * np.exp(0.01 * np.random.default_rng(4).normal(size=len(bars)))
        / np.where(bars.index < bars.index[402], 1, 2)
    )
    rows = bars.assign(**{name: halved}, volume=bars["volume"] * np.where(bars.index < bars.index[402], 1, 2))
    assert "unadjusted-split" not in faults_of(rows, "close")
    # The same values under a price's name.
    assert "unadjusted-split" in faults_of(rows.rename(columns={name: "low"}), "close")


def returns_of(bars: pd.DataFrame, *names: str) -> pd.DataFrame:
    return pd.DataFrame({f"log_return_{name}": np.log(bars[name]).diff() for name in names}).iloc[1:]


@pytest.mark.parametrize("names", [("close",), ("high", "low", "close")])
@pytest.mark.parametrize("ratio", [2, 3, 10, 1 / 2])
def test_a_split_is_found_in_returns_alone_where_nothing_else_comes_near_it(names, ratio):
    bars = bars_of("calm")
    assert "unadjusted-split" not in faults_of(returns_of(bars, *names), "log_return_close")
    split = split_at(bars, 402, ratio, moves_volume=False)
    examination = examine(as_read(returns_of(split, *names)), default_spec(features={"target": "log_return_close"}))
    (finding,) = [each for each in examination.findings if each.fault == "unadjusted-split"]
    assert finding.timestamps == (str(bars.index[402]),)
    # Half as large a move on another day: such moves happen here.
    restless = split.copy()
    restless.loc[restless.index >= bars.index[600], ["high", "low", "close"]] *= ratio**0.5
    assert "unadjusted-split" not in faults_of(returns_of(restless, *names), "log_return_close")
    off = split_at(bars, 402, ratio * 1.12, moves_volume=False)
    assert "unadjusted-split" not in faults_of(returns_of(off, *names), "log_return_close")


def test_an_exact_name_among_the_returns_goes_before_its_reading_as_a_pattern():
    bars = bars_of("calm")
    split = split_at(bars, 402, 2, moves_volume=True)
    # `close1` is a price; as a pattern "close[1]" would make a return of it.
    rows = split[["volume"]].assign(close1=split["close"], **{"close[1]": np.log(bars["close"]).diff()}).iloc[1:]
    spec = default_spec(features={"target": "close1", "log_return": ["close[1]"]})
    (finding,) = [each for each in examine(as_read(rows), spec).findings if each.fault == "unadjusted-split"]
    assert finding.column == "close1"


@needs_data
def test_there_is_no_false_alarm_on_hours():
    rows = as_read(pd.read_csv(DATA / "ETTh1.csv.gz", parse_dates=["date"], index_col="date"))
    assert examine(rows, default_spec(features={"target": "OT"})).findings == ()


@needs_data
def test_the_glitches_of_the_exchange_rates_are_all_that_is_warned_of():
    names = ["AU", "GB", "CA", "CH", "CN", "JP", "NZ", "SG"]
    frame = pd.read_csv(DATA / "exchange_rate.txt.gz", header=None, names=names)
    examination = examine(as_read(frame), default_spec(features={"target": "AU"}))
    assert examination.is_sound
    assert {finding.fault for finding in examination.findings} == {"glitch", "outlier"}
    first = {timestamp for finding in examination.findings for timestamp in finding.timestamps}
    assert {"3589", "3660", "4135", "4894", "6620", "6689"} <= first <= {
        "3589", "3598", "3660", "4135", "4894", "6620", "6689"
    }  # fmt: skip


ODD_VALUES = st.one_of(
    st.none(), st.floats(), st.integers(), st.text(max_size=3), st.booleans(), st.dates(),
    st.decimals(allow_nan=False), st.just(Decimal("NaN")), st.binary(max_size=2), st.complex_numbers(),
)  # fmt: skip
ODD_TIMESTAMPS = st.one_of(
    st.none(), st.datetimes(), st.integers(), st.floats(), st.booleans(), st.dates(), st.text(max_size=12),
    st.datetimes(timezones=st.timezones()), st.sampled_from(["2020-01-01", "2020-01-02T00:00:00+02:00", "nan", "NaT"]),
)  # fmt: skip


@st.composite
def odd_rows(draw) -> pd.DataFrame:
    n = draw(st.sampled_from([0, 1, 2, 3, 40, 130]))

    def column(of: st.SearchStrategy[Any]) -> list[Any]:
        few = draw(st.lists(of, min_size=1, max_size=6))
        return (few * (n // len(few) + 1))[:n]

    timestamps = draw(st.sampled_from(["days", "integers", "odd", "none"]))
    columns: dict[Any, Any] = {}
    if timestamps == "days":
        columns["timestamp"] = pd.date_range("2020-01-01", periods=n)
    elif timestamps == "integers":
        columns["timestamp"] = np.arange(n)
    elif timestamps == "odd":
        columns["timestamp"] = column(draw(st.sampled_from([ODD_TIMESTAMPS, st.datetimes(), st.integers(), st.text()])))
    for name in ("log_return_close", "volume", 7, None):
        if draw(st.booleans()):
            columns[name] = column(draw(st.sampled_from([ODD_VALUES, st.floats(), st.integers(), st.booleans()])))
    frame = pd.DataFrame(columns, index=range(n))
    dtype = draw(st.sampled_from([None, "category", "string"]))
    if dtype and "volume" in frame:
        frame["volume"] = frame["volume"].map(str).astype(dtype)
    return frame


@settings(max_examples=150)
@given(rows=odd_rows(), label_horizon=st.sampled_from([0, 5]), fill=st.sampled_from(["none", "forward"]))
@pytest.mark.filterwarnings("ignore")
def test_odd_rows_are_findings_and_never_an_exception(rows, label_horizon, fill):
    examination = found(rows, features={"label_horizon": label_horizon}, data={"fill": fill})
    assert {finding.fault for finding in examination.findings} <= set(FAULTS)
    assert all(re.fullmatch(r"\S.*; \S.*", finding.line) for finding in examination.findings)


@settings(max_examples=60)
@given(
    places=st.lists(st.tuples(st.integers(0, 139) | st.integers(0, 5), st.integers(0, 2)), max_size=3),
    value=st.sampled_from([np.nan, np.inf, -1.0, 0.0]),
    label_horizon=st.sampled_from([0, 3]),
    fill=st.sampled_from(["none", "forward"]),
    train_rows=st.sampled_from([None, 55, 70]),
)
def test_what_is_sound_can_be_planned_and_what_cannot_be_planned_is_not_sound(
    places, value, label_horizon, fill, train_rows, tmp_path_factory
):
    rows = as_read(GOOD.iloc[:140, :3])
    for row, column in places:
        rows.iloc[row, column + 1] = value
    spec = small_spec(
        features={"label_horizon": label_horizon}, data={"fill": fill}, folds={"window": 20, "train_rows": train_rows}
    )
    examination = examine(rows, spec)
    try:
        plan = plan_study(tidy(rows, spec.data), spec, "memory://snapshots")
    except KallosError:
        assert not examination.is_sound
    else:
        assert examination.is_sound
        assert plan.longest_input == examination.longest_input
        assert len(plan.folds) == len(examination.folds)


REPAIRS = [
    ("ffill", put("macd", [200, 399], None), "data", {"fill": "forward"}),
    ("later-start", put("macd", range(26), None), "data", {"start_date": "2020-01-27 00:00:00"}),
    ("drop-constant", add(**{"a[b]": 3.0}), "features", {"exclude": ("a[b]",)}),
    ("drop-duplicates", lambda rows: rows.assign(again=rows["macd"]), "features", {"exclude": ("again",)}),
    ("drop-leaks", lambda rows: rows.assign(next=rows["log_return_close"].shift(-1).fillna(0)), "features",
     {"exclude": ("next",)}),
    ("drop-empty", add(sentiment=None), "features", {"exclude": ("sentiment",)}),
    ("drop-text", add(sector="tech"), "features", {"exclude": ("sector",)}),
]  # fmt: skip


@pytest.mark.parametrize(("fix", "plant", "table", "changed"), REPAIRS, ids=[fix for fix, *_ in REPAIRS])
def test_a_repair_does_what_it_is_asked_for_and_no_more(fix, plant, table, changed):
    rows, spec = plant(as_read(GOOD)), small_spec()
    assert repair(rows, spec, [])[0] == spec
    others = [name for name in FIXES if name != fix]
    assert repair(rows, spec, others)[0] == spec
    repaired, examination = repair(rows, spec, [fix])
    assert repaired == spec.model_copy(update={table: getattr(spec, table).model_copy(update=changed)})
    assert examination.is_sound
    lines = study_lines(spec, repaired)
    assert lines[0] == f"[{table}]"
    assert TuneSpec.model_validate(
        {**spec.model_dump(), table: {**getattr(spec, table).model_dump(), **_toml(lines)[table]}}
    ) == repaired  # fmt: skip


def _toml(lines: list[str]) -> dict[str, Any]:
    import tomllib

    return tomllib.loads("\n".join(lines))


def test_every_repair_is_tried_and_none_looks_back_in_time():
    assert [fix for fix, *_ in REPAIRS] == list(FIXES)
    with pytest.raises(UsageError, match="not 'bfill': did you mean 'ffill'"):
        repair(as_read(GOOD), small_spec(), ["bfill"])


def test_every_fault_and_repair_is_in_the_manual_with_its_severity():
    page = (ROOT / "docs" / "checking.md").read_text()
    table = dict(re.findall(r"^\| `([a-z-]+)` \| (error|warning) \|", page, flags=re.MULTILINE))
    assert table == dict(FAULTS)
    assert all(f"`{fix}`" in page for fix in FIXES)


@pytest.mark.parametrize(
    "name",
    ["x[1]", "bb_*", "pct?", "Close Price (USD)", 'quote"d', "it's", "日本", "two  blanks", "back\\slash", "a\tb"],
)
def test_a_name_in_a_finding_can_be_pasted_into_the_study_file(name):
    rows = as_read(GOOD).assign(**{name: 3.0, "x1": WALK[:400], "bb_up": -WALK[:400], "pcta": WALK[:400] ** 2})
    (finding,) = found(rows).findings
    assert finding.fault == "constant-column"
    written = re.match(r"(.*) is 3 in all 400 rows", finding.line).group(1)
    quoted = written if written.startswith('"') else f'"{written}"'
    study = _toml([f"exclude = [{quoted}]"])
    assert study == {"exclude": [name]}
    pasted = found(rows, features=study)
    assert pasted.findings == ()
    assert {"x1", "bb_up", "pcta"} <= set(pasted.columns["other"])


def test_of_two_warm_ups_the_longer_settles_where_to_start():
    rows = put("macd", range(26), None)(put("roc_5", range(5), None)(as_read(GOOD)))
    repaired, examination = repair(rows, small_spec(), ["later-start"])
    assert repaired.data.start_date == day(26)
    assert examination.findings == ()


@pytest.mark.parametrize(("row", "faults"), [(6, set()), (7, {"negative-volume", "infinite-values"})])
def test_rows_in_which_no_label_is_known_yet_are_not_looked_at(row, faults):
    rows = put("volume", row, -1.0)(put("roc_5", row, np.inf)(forward_label(as_read(GOOD))))
    assert {finding.fault for finding in found(rows, **LABEL).findings} == faults


def test_digits_that_are_stored_as_text_are_not_to_be_coded_but_cast():
    rows = as_read(GOOD).assign(x=[f"{value:.3f}" for value in WALK[:400]], sector="tech")
    remedies = {finding.column: (finding.message, finding.remedy) for finding in found(rows).errors}

    assert "x holds text such as '0.0" in remedies["x"][0]
    assert remedies["x"][1].startswith("cast it to numbers in a view or query")
    assert remedies["sector"][1].startswith("encode it as numbers in a view or query")


@pytest.mark.parametrize(("lag", "horizon", "leaks_target"), [(0, 1, True), (1, 1, False), (1, 2, True), (2, 2, False)])
def test_a_column_that_is_known_ahead_must_not_hold_a_target_that_is_not_known_at_the_origin(
    lag, horizon, leaks_target
):
    rows = GOOD.assign(ahead=GOOD["log_return_close"].shift(lag).fillna(0))
    found = about(rows, features={"known_future": ["ahead"]}, horizon=horizon)
    assert (("leaking-column", "ahead") in found) == leaks_target


def test_a_check_finds_what_the_study_asks_of_rows_that_cannot_give_it():
    assert ("idle-pattern", None) in about(GOOD, baselines=["zero", "column:macdd"])
    assert about(GOOD, baselines=["zero", "column:macd"]) == []
    numbered = GOOD.reset_index(drop=True).rename_axis("timestamp")
    assert ("idle-pattern", None) in about(numbered, features={"calendar": ["weekday"]})
