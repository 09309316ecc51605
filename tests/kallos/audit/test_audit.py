"""Planted leaks, each found by the column's name and the stage that can see it; and none where there is none."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from darts import TimeSeries
from sqlalchemy import create_engine, text

from kallos.audit import (
    AuditReport,
    AuditVerdict,
    audit_associations,
    audit_fill,
    audit_forecasts,
    audit_label,
    audit_preparation,
    audit_query,
    audit_revisions,
    audit_study,
)
from kallos.audit.labels import match_label
from kallos.errors import DataError
from kallos.features.store import FeatureStore
from kallos.folds.columns import prepare_fold, study_frame
from kallos.folds.cut import Fold
from kallos.scoring.fold import forecasts_of
from kallos.specs.data import DataSpec, FeatureSpec
from tests.calendars import exchange, with_gaps
from tests.clean_sets import clean_set, make_bars
from tests.samples import make_features, small_spec

BARS = make_bars(np.random.default_rng(11), 900)
FEATURES = FeatureSpec(target="ret")
FOLDS = (Fold(1, 0, 300, 300, 340), Fold(2, 20, 330, 340, 380))


def compute(bars: pd.DataFrame) -> pd.DataFrame:
    """Return honest features, the first rows of which are complete."""
    price = bars["close"]
    return pd.DataFrame(
        {
            "ret": np.log(price / price.shift(1)),
            "momentum": price / price.shift(5) - 1,
            "range": np.log(bars["high"] / bars["low"]),
            "volume": bars["volume"],
        }
    ).iloc[5:]


def week(bars: pd.DataFrame, *, stamped: str) -> pd.Series:
    """Return the week's last close on each day of it, or the last week's."""
    close = bars["close"].resample("W").last()
    if stamped == "first day":  # as resample does, of a bar that is labelled with its left edge
        return close.shift(1, freq="-6D").reindex(bars.index, method="ffill")
    return close.reindex(bars.index, method=stamped)


def sparse(values: pd.Series) -> pd.Series:
    """Return the values of every fourth row, counted from a fixed day, and nothing between."""
    return values.where((values.index - pd.Timestamp("2018-01-01")).days % 4 == 0)


# What a query may do wrong, with the rows that it looks ahead, or None for the whole series.
LEAKING_COLUMNS = {
    "target of tomorrow": (lambda bars: np.log(bars["close"].shift(-1) / bars["close"]), 1),
    "covariate of the day after": (lambda bars: np.log(bars["close"] / bars["open"]).shift(-1), 1),
    "centred mean": (lambda bars: bars["close"].rolling(7, center=True).mean(), 3),
    "return of the next ten rows": (lambda bars: bars["close"].shift(-10) / bars["close"] - 1, 10),
    "week stamped at its first day": (lambda bars: week(bars, stamped="first day"), 6),
    "sparse filled backwards": (lambda bars: sparse(bars["close"]).bfill(), 3),
    "over the highest of all": (lambda bars: bars["close"] / bars["close"].max(), None),
    "z-score of all": (lambda bars: (bars["volume"] - bars["volume"].mean()) / bars["volume"].std(), None),
    "principal component of all": (lambda bars: first_component(bars), None),
}
# What statistics cannot see: a constant for all rows changes no relation between rows.
ONLY_BY_QUERY = {"over the highest of all", "z-score of all", "principal component of all"}
HONEST_COLUMNS = {
    "last week": lambda bars: week(bars, stamped="ffill"),
    "sparse filled forward": lambda bars: sparse(bars["close"]).ffill(),
    "highest so far": lambda bars: bars["close"].cummax(),
    "trailing mean": lambda bars: bars["close"].rolling(7).mean(),
    "return of yesterday": lambda bars: np.log(bars["close"] / bars["close"].shift(1)).shift(1),
    "sign of yesterday": lambda bars: np.sign(bars["close"].diff()).shift(1),
}


def first_component(bars: pd.DataFrame) -> pd.Series:
    values = compute(bars)[["momentum", "range"]].to_numpy()
    _, _, axes = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    return pd.Series((values - values.mean(axis=0)) @ axes[0], index=compute(bars).index)


def query_with(column, name: str):
    """Return a query of the honest features and one column more, run over what is known at its end date."""

    def load(end_date: str | None) -> pd.DataFrame:
        known = BARS.loc[: None if end_date is None else pd.Timestamp(end_date)]
        return compute(known).assign(**{name: column(known)})

    return load


def leaks(verdicts: list[AuditVerdict]) -> dict[str | None, AuditVerdict]:
    return {each.column: each for each in verdicts if each.verdict == "leak"}


def alarms(verdicts: list[AuditVerdict]) -> list[AuditVerdict]:
    return [each for each in verdicts if each.verdict in ("leak", "suspicious")]


@pytest.mark.parametrize("name", LEAKING_COLUMNS)
def test_a_query_that_reads_the_future_changes_its_past_when_the_future_is_gone(name):
    column, ahead = LEAKING_COLUMNS[name]
    found = leaks(audit_query(query_with(column, name), FEATURES))
    assert list(found) == [name]
    said = "computed over the whole series" if ahead is None else f"looks {ahead} row{'s' * (ahead > 1)} ahead"
    assert said in found[name].evidence
    assert found[name].stage == "query"


@pytest.mark.parametrize("name", sorted(LEAKING_COLUMNS.keys() - ONLY_BY_QUERY))
def test_a_column_of_the_future_predicts_the_target_too_well_to_be_true(name):
    rows = query_with(LEAKING_COLUMNS[name][0], name)(None).dropna()
    found = leaks(audit_associations(rows, FEATURES))
    assert list(found) == [name]
    assert found[name].stage == "association"


@pytest.mark.parametrize("name", sorted(ONLY_BY_QUERY))
def test_what_a_constant_of_the_whole_series_gives_away_is_not_seen_by_statistics(name):
    rows = query_with(LEAKING_COLUMNS[name][0], name)(None).dropna()
    assert not alarms(audit_associations(rows, FEATURES))


@pytest.mark.parametrize("name", HONEST_COLUMNS)
def test_columns_that_only_look_like_leaks_are_clean(name):
    load = query_with(HONEST_COLUMNS[name], name)
    rows = load(None).dropna()
    assert not alarms([*audit_query(load, FEATURES), *audit_associations(rows, FEATURES)])


@pytest.mark.parametrize(
    ("values", "evidence"),
    [
        (np.arange(900) % 7 + 0.1, "repeats every 7 rows"),
        (np.sin(2 * np.pi * np.arange(900) / 24) * 1e6, "repeats every 24 rows"),
        (np.arange(900) % 7 + 1e-6 * (np.arange(900) == 899), "removes"),
        (np.where(np.arange(900) < 890, 0.0, 1.0), "removes"),
        (np.ones(900), "removes"),
        (np.arange(900) % 401.0, "removes"),
    ],
)
def test_a_column_that_repeats_to_its_end_is_known_in_advance(values, evidence):
    rows = study_frame(pd.DataFrame({"ret": np.random.default_rng(1).normal(size=900), "season": values}), FEATURES)
    (verdict,) = audit_associations(rows, FEATURES)
    assert verdict.verdict == "clean"
    assert verdict.evidence.startswith(evidence)


@pytest.mark.parametrize(
    ("index", "column", "evidence"),
    [
        (with_gaps(exchange("UTC", "2023-01-02", "2023-12-29")), lambda index: index.hour % 3, "repeats every day"),
        (with_gaps(exchange("UTC", "2023-01-02", "2023-12-29")), lambda index: index.dayofweek, "repeats every week"),
        (with_gaps(pd.bdate_range("2018-01-01", periods=900)), lambda index: index.dayofweek, "repeats every week"),
    ],
)
def test_the_hour_and_the_weekday_are_known_in_advance_where_rows_are_missing(index, column, evidence):
    season = column(index).to_numpy().astype(float)
    # The target lies so far from that of the row before that lags do not tell it.
    target = 9 * season**2 + np.random.default_rng(1).normal(size=len(index))
    rows = study_frame(pd.DataFrame({"ret": target, "season": season}, index=index), FEATURES)
    (verdict,) = audit_associations(rows, FEATURES)
    assert (verdict.verdict, verdict.evidence[: len(evidence)]) == ("clean", evidence)


def test_a_column_that_was_filled_in_later_for_the_first_years_is_found_with_the_years():
    rows = compute(make_bars(np.random.default_rng(3), 1500))
    tomorrow = rows["ret"].shift(-1)
    early = rows.index < rows.index[400]
    verdicts = leaks(audit_associations(rows.assign(note=tomorrow.where(early, rows["ret"])).dropna(), FEATURES))
    assert list(verdicts) == ["note"]
    assert "from 2018-01-06 to 2018-10-" in verdicts["note"].evidence


def test_a_query_that_takes_no_heed_of_its_end_date_proves_nothing():
    (verdict,) = audit_query(lambda _: compute(BARS), FEATURES)
    assert verdict.verdict == "not testable"
    assert "whatever its end date" in verdict.evidence


def test_a_query_is_compared_at_the_dates_that_it_can_serve():
    def load(end_date: str | None) -> pd.DataFrame:
        rows = query_with(LEAKING_COLUMNS["centred mean"][0], "mean")(end_date)
        if len(rows) < 300:
            raise DataError("too few rows")
        return rows

    assert "looks 3 rows ahead" in leaks(audit_query(load, FEATURES))["mean"].evidence


def test_windows_of_a_real_query_are_told_apart(tmp_path):
    query = text("""
        WITH known AS (SELECT * FROM prices WHERE timestamp <= :end_date)
        SELECT timestamp,
               LEAD(close, 7) OVER (ORDER BY timestamp) / close - 1 AS label,
               AVG(close) OVER (ORDER BY timestamp ROWS BETWEEN 4 PRECEDING AND CURRENT ROW) AS trailing,
               AVG(close) OVER (ORDER BY timestamp ROWS BETWEEN 2 PRECEDING AND 2 FOLLOWING) AS centred,
               close / (SELECT MAX(close) FROM known) AS of_highest
        FROM known ORDER BY timestamp""")
    engine = create_engine(f"sqlite:///{tmp_path / 'prices.db'}")
    BARS.to_sql("prices", engine)

    def load(end_date: str | None) -> pd.DataFrame:
        end = str(pd.Timestamp(end_date or "2100-01-01"))
        return pd.read_sql(query, engine, params={"end_date": end}, index_col="timestamp", parse_dates=["timestamp"])

    verdicts = audit_query(load, FeatureSpec(target="label", label_horizon=7))
    engine.dispose()
    found = leaks(verdicts)
    assert set(found) == {"centred", "of_highest"}
    assert "looks 2 rows ahead" in found["centred"].evidence
    assert {each.column for each in verdicts if each.verdict == "clean"} == {"label", "trailing"}


def forward_label(bars: pd.DataFrame) -> pd.Series:
    return bars["close"].shift(-7) / bars["close"] - 1


LABELLED = FeatureSpec(target="label", label_horizon=7)


@pytest.mark.parametrize("leaves_out_open_labels", [False, True])
def test_a_query_that_is_cut_outside_its_windows_is_told_by_labels_that_are_known_too_early(leaves_out_open_labels):
    everything = compute(BARS).assign(
        tomorrow=BARS["volume"].shift(-1), of_highest=BARS["close"] / BARS["close"].max(), label=forward_label(BARS)
    )
    if leaves_out_open_labels:
        everything = everything.dropna()

    def load(end_date: str | None) -> pd.DataFrame:
        return everything.loc[: None if end_date is None else pd.Timestamp(end_date)]

    (verdict,) = audit_query(load, LABELLED)
    assert (verdict.verdict, verdict.column) == ("not testable", None)
    assert "labels are present up to each earlier end date, but become known 7 rows later" in verdict.evidence
    assert "innermost SELECT" in verdict.remedy


def test_what_changes_in_a_query_that_knows_labels_too_early_is_a_leak_all_the_same():
    everything = compute(BARS).assign(label=forward_label(BARS))

    def load(end_date: str | None) -> pd.DataFrame:
        known = everything.loc[: None if end_date is None else pd.Timestamp(end_date)]
        return known.assign(of_highest=known["volume"] / known["volume"].max())

    by_column = {each.column: each.verdict for each in audit_query(load, LABELLED)}
    assert by_column == {"of_highest": "leak", None: "not testable"}


def test_a_clean_query_without_a_label_says_what_that_rests_on():
    assert all(
        "if :end_date limits" in each.evidence for each in audit_query(lambda end: compute(BARS)[:end], FEATURES)
    )
    assert not any("if :end_date" in each.evidence for each in audit_query(label_query(7), LABELLED))


def test_a_query_without_open_labels_proves_nothing_of_features_that_may_look_as_far_ahead():
    def load(end_date: str | None) -> pd.DataFrame:
        known = BARS.loc[: None if end_date is None else pd.Timestamp(end_date)]
        columns = {"hidden": known["volume"].shift(-3), "seen": known["close"] / known["close"].max()}
        return compute(known).assign(**columns, label=forward_label(known)).dropna()

    verdicts = {each.column: each for each in audit_query(load, LABELLED)}
    assert verdicts["hidden"].verdict == "not testable"
    assert "leaves out 7 rows before its end date" in verdicts["hidden"].evidence
    assert verdicts["hidden"].remedy == "keep rows whose label is not known yet, with NULL as the label"
    assert verdicts["seen"].verdict == "leak"
    assert verdicts["label"].verdict == "clean"


def up_to_the_day_before(end_date: str | None) -> pd.Timestamp:
    return pd.Timestamp("2100-01-01") if end_date is None else pd.Timestamp(end_date).normalize()


@pytest.mark.parametrize("frequency", ["D", "h"])
def test_an_end_date_that_is_taken_for_a_day_and_exclusive_is_no_label(frequency):
    bars = BARS.set_axis(pd.date_range("2020-01-01", periods=len(BARS), freq=frequency))

    def load(end_date: str | None) -> pd.DataFrame:
        known = bars.loc[bars.index < up_to_the_day_before(end_date)]
        return compute(known).assign(of_highest=known["volume"] / known["volume"].max())

    verdicts = {each.column: each for each in audit_query(load, FEATURES)}
    assert verdicts.pop("of_highest").verdict == "leak"
    assert {each.verdict for each in verdicts.values()} == {"not testable"}
    assert "datetime(timestamp) <= :end_date" in verdicts["ret"].remedy


def test_timestamps_with_a_t_in_sqlite_are_no_label(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path / 'timestamps.db'}")
    bars = compute(BARS)
    bars.set_axis([f"{each:%Y-%m-%dT%H:%M:%S}" for each in bars.index]).to_sql("bars", engine, index_label="timestamp")
    data = {"asset_id": "A", "single_asset": True}

    def verdicts(condition: str) -> set[str]:
        spec = DataSpec(**data, query=f"SELECT * FROM bars WHERE {condition}")
        with FeatureStore(str(engine.url)) as store:
            return {
                each.verdict
                for each in audit_query(lambda end: store.load(spec.model_copy(update={"end_date": end})), FEATURES)
            }

    assert verdicts("timestamp <= :end_date") == {"not testable"}
    assert verdicts("datetime(timestamp) <= :end_date") == {"clean"}
    engine.dispose()


@pytest.mark.parametrize("length", [1, 2])
def test_a_short_label_that_is_left_out_is_told_from_a_day_that_is_by_weeks(length):
    weeks = BARS.set_axis(pd.date_range("2001-01-07", periods=len(BARS), freq="W"))

    def load(end_date: str | None) -> pd.DataFrame:
        known = weeks.loc[: None if end_date is None else pd.Timestamp(end_date)]
        return compute(known).assign(label=known["close"].shift(-length) / known["close"] - 1).dropna()

    found = leaks(audit_query(load, FeatureSpec(target="label")))
    assert f"looks {length} row" in found["label"].evidence


def label_query(length: int, *, drops_open_rows: bool = False):
    def load(end_date: str | None) -> pd.DataFrame:
        price = BARS["close"].loc[: None if end_date is None else pd.Timestamp(end_date)]
        rows = compute(BARS.loc[: price.index[-1]]).assign(label=price.shift(-length) / price - 1)
        return rows.dropna() if drops_open_rows else rows

    return load


@pytest.mark.parametrize("drops_open_rows", [False, True])
@pytest.mark.parametrize(("label_horizon", "is_enough"), [(0, False), (3, False), (6, False), (7, True), (9, True)])
def test_a_label_that_looks_further_ahead_than_its_purge_is_found_in_the_query(
    label_horizon, is_enough, drops_open_rows
):
    features = FeatureSpec(target="label", label_horizon=label_horizon)
    found = leaks(audit_query(label_query(7, drops_open_rows=drops_open_rows), features))
    if is_enough:
        assert not found
    else:
        assert "looks 7 rows ahead" in found["label"].evidence
        assert found["label"].remedy.startswith("set `label_horizon` 7")


@pytest.mark.parametrize(("label_horizon", "is_enough"), [(0, False), (6, False), (7, True)])
def test_a_target_that_is_missing_at_the_end_is_known_so_many_rows_later(label_horizon, is_enough):
    rows = label_query(7)(None).drop(columns=["ret", "momentum"])
    verdicts = audit_label(rows, FeatureSpec(target="label", label_horizon=label_horizon))
    if is_enough:
        assert [each.verdict for each in verdicts] == ["clean"]
    else:
        assert "7 rows at the end, from 2020-06-12" in leaks(verdicts)["label"].evidence


@pytest.mark.parametrize(
    ("label_horizon", "said"),
    [(0, "contain labels that are not known yet"), (3, "the purge is too short"), (7, None)],
)
def test_a_target_that_is_a_forward_change_is_recognised_without_a_missing_row(label_horizon, said):
    # As in a table whose labels are all known by now: only the numbers tell.
    rows = label_query(7)(None).dropna().assign(close=BARS["close"])
    verdicts = audit_label(rows, FeatureSpec(target="label", label_horizon=label_horizon))
    if said is None:
        assert [each.verdict for each in verdicts] == ["clean"]
    else:
        evidence = leaks(verdicts)["label"].evidence
        assert said in evidence
        assert f"over 7 rows after its own: it looks 7 ahead, and label_horizon is {label_horizon}" in evidence


PRICE = BARS["close"]
LABELS = {
    "log change": lambda n: np.log(PRICE.shift(-n) / PRICE),
    "relative change": lambda n: 100 * (PRICE.shift(-n) / PRICE - 1),
    "difference": lambda n: PRICE.shift(-n) - PRICE,
}


@pytest.mark.parametrize("length", [1, 5, 60])
@pytest.mark.parametrize("formula", LABELS)
def test_the_length_of_a_label_is_found_whatever_its_formula(formula, length):
    rows = pd.DataFrame({"close": PRICE, "volume": BARS["volume"], "label": LABELS[formula](length)})
    match = match_label(rows, "label")
    assert (match.column, match.ahead) == ("close", length)
    assert match.formula.startswith(f"the {formula} of close")


def test_the_length_of_a_label_is_found_from_returns_alone():
    rows = compute(BARS).assign(label=LABELS["log change"](5), volume=BARS["volume"])
    assert match_label(rows[["ret", "volume", "label"]], "label").ahead == 5


def test_a_target_that_looks_back_is_known_when_stamped_though_an_open_says_it_a_row_later():
    # In this market each bar opens where the last one closed.
    rows = pd.DataFrame({"open": BARS["open"], "close": PRICE, "ret": np.log(PRICE / PRICE.shift(1))})
    (verdict,) = audit_label(rows, FEATURES)
    assert (verdict.verdict, match_label(rows, "ret").ahead) == ("clean", 0)
    assert not leaks(audit_label(rows[["open", "ret"]], FEATURES))


def test_a_target_that_is_no_change_of_any_column_is_not_testable():
    assert [each.verdict for each in audit_label(compute(BARS), FEATURES)] == ["not testable"]


def test_a_value_that_was_revised_since_an_earlier_snapshot_is_named_with_its_first_row():
    earlier = study_frame(compute(BARS), FEATURES)
    today = earlier.copy()
    today.iloc[[40, 90], today.columns.get_loc("momentum")] += 1e-6
    verdicts = audit_revisions(today, earlier.iloc[:800])
    found = leaks(verdicts)
    assert list(found) == ["momentum"]
    assert f"2 of 800 rows were revised since the earlier snapshot, first {today.index[40].isoformat()}" in (
        found["momentum"].evidence
    )
    assert {each.verdict for each in verdicts} == {"leak", "clean"}


def test_what_an_earlier_snapshot_cannot_tell_is_not_testable():
    today = study_frame(compute(BARS), FEATURES)
    assert audit_revisions(today, today.iloc[:0])[0].verdict == "not testable"
    assert audit_revisions(today, today.reset_index(drop=True))[0].verdict == "not testable"
    other = study_frame(compute(BARS), FeatureSpec(target="momentum", label_horizon=2))
    by_column = {each.column: each.verdict for each in audit_revisions(today.assign(new=1.0), other)}
    assert by_column == {
        "ret": "not testable",
        "momentum": "not testable",
        "range": "clean",
        "volume": "clean",
        "new": "not testable",
    }


def test_a_target_under_another_label_horizon_is_not_compared_and_hides_nothing():
    today = study_frame(compute(BARS), FEATURES)
    earlier = today.copy()
    earlier[["ret", "momentum"]] += 1.0
    by_column = {each.column: each.verdict for each in audit_revisions(today, earlier, earlier_target="ret")}
    assert by_column == {"ret": "not testable", "momentum": "leak", "range": "clean", "volume": "clean"}


def test_a_snapshot_of_a_target_alone_can_be_compared():
    today = study_frame(compute(BARS), FEATURES)
    earlier = today[["ret"]]
    assert {each.column: each.verdict for each in audit_revisions(today, earlier)}["ret"] == "clean"
    assert {each.verdict for each in audit_revisions(today, earlier, earlier_target="ret")} == {"not testable"}
    assert {each.verdict for each in audit_revisions(today, earlier[[]])} == {"not testable"}


FRAME = make_features()


def scale_all(rows, fold, features):
    """Fit everything on all rows that the fold sees."""
    return replace(prepare_fold(rows, fold, features, fit_rows=fold.validation_stop - fold.train_start))


def scale_covariates_by_the_highest(rows, fold, features):
    prepared = prepare_fold(rows, fold, features)
    values = prepared.past_covariates.values().copy()
    values[:, 0] /= np.abs(values[:, 0]).max()
    return replace(prepared, past_covariates=TimeSeries.from_values(values))


def smooth_the_target(rows, fold, features):
    prepared = prepare_fold(rows, fold, features)
    smooth = pd.DataFrame(prepared.target.values()).rolling(3, center=True, min_periods=1).mean()
    return replace(prepared, target=TimeSeries.from_values(smooth.to_numpy()))


def test_scalers_that_are_fitted_on_everything_are_found_in_every_column():
    found = leaks(audit_preparation(FRAME, FOLDS, FeatureSpec(), prepare=scale_all))
    assert set(found) == set(FRAME.columns)
    assert found["macd"].stage == "preparation"
    assert "fold 1: 300 of 300 prepared rows up to 2020-10-26" in found["macd"].evidence


@pytest.mark.parametrize(
    ("prepare", "name"), [(scale_covariates_by_the_highest, "volume"), (smooth_the_target, "log_return_close")]
)
def test_a_leak_in_preparation_is_named_by_its_column(prepare, name):
    assert list(leaks(audit_preparation(FRAME, FOLDS, FeatureSpec(), prepare=prepare))) == [name]


@pytest.mark.parametrize("log_return_pca", [None, 0.9])
def test_our_own_preparation_is_clean(log_return_pca):
    verdicts = audit_preparation(FRAME, FOLDS, FeatureSpec(log_return_pca=log_return_pca))
    assert {each.verdict for each in verdicts} == {"clean"}


@pytest.mark.parametrize(("method", "found"), [("bfill", ["rsi_14"]), ("ffill", []), ("interpolate", ["rsi_14"])])
def test_missing_values_that_are_filled_from_the_future_are_found(method, found):
    frame = FRAME.copy()
    frame.loc[np.arange(400) % 10 > 3, "rsi_14"] = np.nan
    frame.iloc[-1] = FRAME.iloc[-1]
    verdicts = audit_fill(frame, FeatureSpec(), lambda rows: study_frame(getattr(rows, method)(), FeatureSpec()))
    assert list(leaks(verdicts)) == found


def peek(rows):
    """Return forecasts that know the row behind their origin of one covariate."""
    fold, known = FOLDS[0], rows["log_return_open"].to_numpy()
    return known[fold.validation_start : fold.validation_stop, None] + rows["macd"].to_numpy()[250]


def repeat(rows):
    """Return the last value known at each origin."""
    fold = FOLDS[0]
    return rows["log_return_close"].to_numpy()[fold.validation_start - 1 : fold.validation_stop - 1, None]


def test_a_forecaster_that_peeks_is_found_with_the_column():
    verdicts = audit_forecasts(FRAME, FOLDS[0], lambda _: peek, FeatureSpec())
    assert list(leaks(verdicts)) == ["log_return_open"]
    assert "forecasts made up to 2020-10-26" in verdicts[0].evidence


def test_a_column_that_is_known_ahead_may_move_a_forecast_and_every_other_is_still_found():
    known = FeatureSpec(known_future=("log_return_open",))
    assert not leaks(audit_forecasts(FRAME, FOLDS[0], lambda _: peek, known))
    other = FeatureSpec(known_future=("weekday",), calendar=("month",))
    assert list(leaks(audit_forecasts(FRAME, FOLDS[0], lambda _: peek, other))) == ["log_return_open"]


def test_a_forecaster_that_uses_the_past_alone_is_clean():
    verdicts = audit_forecasts(FRAME, FOLDS[0], lambda _: repeat, FeatureSpec())
    assert [each.verdict for each in verdicts] == ["clean"]


def test_weights_that_have_seen_the_rows_that_are_scored_are_found():
    def fit(rows):
        weight = rows["macd"].to_numpy()[FOLDS[0].validation_start :].mean()
        return lambda seen: repeat(seen) * weight

    (verdict,) = audit_forecasts(FRAME, FOLDS[0], fit, FeatureSpec())
    assert (verdict.stage, verdict.verdict) == ("forecast", "leak")
    assert "after training again" in verdict.evidence


@pytest.mark.parametrize("part", ["mean", "quantiles"])
def test_a_look_ahead_in_the_means_or_the_quantiles_alone_is_found(monkeypatch, part):
    def peeking(job, fitted):
        """Return the forecasts, with one part of them times a factor that knows the rows that are scored."""
        factor = np.exp(fitted.series[0].target.values()[-1, 0])
        return [replace(each, **{part: getattr(each, part) * factor}) for each in forecasts_of(job, fitted)]

    monkeypatch.setattr("kallos.audit.forecasts.forecasts_of", peeking)
    spec = small_spec(model_name="ridge", likelihood="quantile", quantiles=[0.1, 0.5, 0.9])
    assert "forecast" in {each.stage for each in alarms(audit_study(FRAME, spec))}


@pytest.mark.parametrize("label_horizon", [0, 4])
def test_a_whole_study_without_a_leak_is_clean(label_horizon):
    seen = []
    spec = small_spec(features={"label_horizon": label_horizon})
    report = AuditReport.of(audit_study(FRAME, spec, earlier=study_frame(FRAME, spec.features), watch=seen.append))
    assert not alarms(list(report.verdicts))
    assert not report.has_leak
    assert report.clean_columns == sorted(FRAME.columns)
    assert {each.stage for each in report.having("clean")} == {"revisions", "association", "preparation", "forecast"}
    assert seen == ["query", "label", "revisions", "association", "preparation", "forecast"]
    assert report.sentence == "no leak found; not testable: query, label"


@pytest.mark.parametrize("model_name", ["ridge", "gru"])
def test_a_study_that_adds_columns_of_every_kind_is_clean(model_name):
    added = {
        "target": "volume",
        "target_transform": "log",
        "means": {"target": [5, 22], "macd": [3]},
        "lags": {"rsi_14": [1, 5]},
        "calendar": ["weekday", "month", "turn_of_month", "holiday:NYSE"],
        "known_future": ["weekday"],
    }
    verdicts = audit_study(FRAME, small_spec(model_name=model_name, horizon=2, features=added))
    assert not leaks(verdicts)
    audited = {each.column for each in verdicts if each.stage == "preparation"}
    assert {"log_volume_mean_22", "macd_mean_3", "rsi_14_lag_5", "weekday_mon", "before_holiday_NYSE"} <= audited


@pytest.mark.parametrize("name", ["log_return_close", "macd"])
def test_a_study_of_words_is_refused_before_its_first_stage(name):
    seen = []
    with pytest.raises(DataError, match=f"features must be numbers, and 1 of 7 columns are not: {name} "):
        audit_study(FRAME.assign(**{name: "up"}), small_spec(), watch=seen.append)
    assert not seen


def test_a_study_whose_label_is_purged_too_little_is_audited_to_its_end():
    frame = FRAME.assign(label=FRAME["log_return_close"].rolling(5).sum().shift(-5)).iloc[5:]
    spec = small_spec(features={"target": "label", "label_horizon": 2})
    report = AuditReport.of(audit_study(frame, spec))
    assert {(each.stage, each.column) for each in report.having("leak")} == {("label", "label")}
    assert "preparation" in {each.stage for each in report.having("clean")}
    assert report.sentence.startswith("LEAK: label (label, label): no score of this study can be trusted")


@pytest.mark.parametrize("seed", range(7))
def test_clean_sets_of_every_kind_raise_no_alarm(seed):
    clean = clean_set(seed, n_rows=900)
    rows = study_frame(clean.load(None), clean.features)
    verdicts = [
        *audit_query(clean.load, clean.features),
        *audit_label(clean.load(None), clean.features),
        *audit_associations(rows, clean.features),
    ]
    assert not alarms(verdicts)
    assert len([each for each in verdicts if each.verdict == "clean"]) >= 2 * len(rows.columns) - 1


def test_too_few_rows_are_not_testable_by_statistics():
    (verdict,) = audit_associations(study_frame(compute(BARS), FEATURES).iloc[:100], FEATURES)
    assert verdict.verdict == "not testable"


def test_a_column_that_is_said_to_be_known_ahead_and_gives_away_its_rows_target_is_found():
    revealing = FRAME.assign(revealing=FRAME["log_return_close"] ** 3)
    spec = small_spec(model_name="ridge", features={"known_future": ["revealing"]})
    assert ("association", "revealing") in {
        (each.stage, each.column) for each in audit_study(revealing, spec) if each.verdict == "leak"
    }
    assert not leaks(audit_study(revealing, small_spec(model_name="ridge")))
