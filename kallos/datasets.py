"""From a features table to the series of one fold, in three steps."""

from collections.abc import Iterator, Sequence
from datetime import date

import pandas as pd

from kallos.errors import require, require_callable, require_positive, require_whole
from kallos.features.chunks import OnRows
from kallos.features.store import FeatureStore
from kallos.folds.columns import PreparedFold, prepare_fold, study_columns
from kallos.folds.cut import Fold, cut_folds, splits
from kallos.folds.derived import with_derived
from kallos.folds.rows import require_rows
from kallos.settings import DB_TIMEOUT
from kallos.specs.data import DataSpec, FeatureSpec
from kallos.specs.study import CalendarWindow, FoldSpec, parse_spec

__all__ = ["get_walk_forward_splits", "load_features_from_db", "prepare_darts_timeseries"]


def load_features_from_db(
    db_url: str,
    asset_id: str | Sequence[str],
    *,
    start_date: str | None = None,
    end_date: str | None = None,
    features_table: str = "features",
    timestamp_column: str = "timestamp",
    asset_column: str = "asset_id",
    single_asset: bool = False,
    query: str | None = None,
    frequency: str | None = None,
    days_in: str | None = None,
    timeout: float = DB_TIMEOUT,
    on_rows: OnRows | None = None,
) -> pd.DataFrame:
    """Return one asset's features, unique and sorted by timestamps (UTC, without a zone) or integers.

    Several assets are indexed by asset and timestamp. `db_url` is an SQLAlchemy URL of SQLite or PostgreSQL.
    `start_date` and `end_date` are inclusive; an end without a time means the whole day. With a regular frequency,
    `index.freq` is set. Timestamps that are all midnight in their own zone or in `days_in` are days, and keep their
    dates.

    `query` is one SELECT instead of a table, with optional parameters `:asset_id`, `:start_date` and `:end_date`. Give
    `single_asset` for a table without an asset column. Connections are read-only, and wait at most `timeout` seconds
    for an answer. `on_rows` is called after each chunk with the number of rows so far.

    Raises `DatabaseError` if the database cannot be reached, is too slow, or has no such table or column, `DataError`
    for no rows, or duplicate or missing ones, and `UsageError` for an invalid date or query.
    """
    require(str, db_url=db_url)
    require((str, int, date, type(None)), start_date=start_date, end_date=end_date)
    require_positive(timeout=timeout)
    require_callable(on_rows=on_rows)
    spec = parse_spec(
        DataSpec,
        {
            "asset_id": asset_id,
            "start_date": start_date,
            "end_date": end_date,
            "features_table": features_table,
            "timestamp_column": timestamp_column,
            "asset_column": asset_column,
            "single_asset": single_asset,
            "query": query,
            "frequency": frequency,
            "days_in": days_in,
        },
    )
    with FeatureStore(db_url, timeout=timeout) as store:
        return store.load(spec, on_rows)


def get_walk_forward_splits(
    df: pd.DataFrame,
    n_folds: int = 5,
    *,
    window: CalendarWindow | int | None = None,
    train_rows: int | None = None,
    label_horizon: int = 0,
    gap: int = 0,
    holdout: int = 0,
    frequency: str | None = None,
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Yield `(train_df, val_df)` for the last `n_folds` complete windows of a fixed grid.

    The grid depends only on the calendar (or on the first row, if `window` is a number of rows), so one more day moves
    no fold. With `n_folds=3` and quarters::

                    2023-Q1   Q2       Q3       Q4       2024-Q1   current window
        fold 1   ... train ········· x [ val  ]
        fold 2   ... train ·················· x [ val  ]
        fold 3   ... train ··························· x [ val   ]  (apart)

    Training windows expand from the first row, or roll over `train_rows` rows. At each `x`, `label_horizon - 1 + gap`
    rows before the validation window are purged: a label that looks 7 rows ahead is known 7 rows later, so the last 6
    training labels would leak prices from the validation window. The current window is left out, since its score would
    change every day. So are the last `holdout` complete windows, with a purge before them.

    Raises `DataError` if the rows are not sorted and unique, or have too few complete windows, and `UsageError` for an
    invalid number.
    """
    require_rows(df=df)
    require_whole(0, label_horizon=label_horizon)
    require((str, type(None)), frequency=frequency)
    spec = parse_spec(
        FoldSpec,
        {"n_folds": n_folds, "window": window, "train_rows": train_rows, "gap": gap, "holdout": holdout},
    )
    grid = cut_folds(df.index, spec, lead=max(label_horizon, 1), frequency=frequency)
    return splits(df, grid.folds)


def prepare_darts_timeseries(
    df: pd.DataFrame, fold: Fold, features: FeatureSpec | None = None, *, fit_rows: int | None = None
) -> PreparedFold:
    """Return one fold's normalised float32 series: the target, past covariates, and the columns that are known ahead.

    The columns that `features` adds are computed first. Everything is fitted on the fold's first `fit_rows` training
    rows (default: all), and applied to all rows up to the end of the validation window:

    - target: standardised, with `target_transform` log its logarithm; `PreparedFold.target_scale` restores its units
    - `volume`: log(1 + x), standardised
    - `bounded`: scaled to [0, 1], with later values clipped
    - `unbounded`: minus the median, divided by the range from the 5th to the 95th percentile
    - `rate_of_change`: sign(x) log(1 + abs(x)), standardised
    - `log_return`: standardised, and projected on principal components with `log_return_pca`
    - `volatility`: log(x), with zeros raised to the smallest positive value, standardised
    - `other`: standardised

    Raises `FitError` if the target is constant over the rows that fit, or a value exceeds float32, `UsageError` for an
    argument of the wrong type, and `DataError` for rows that are not sorted and unique, or have a time zone.
    """
    require(pd.DataFrame, df=df)
    require(Fold, fold=fold)
    require((FeatureSpec, type(None)), features=features)
    if fit_rows is not None:
        require_whole(1, fit_rows=fit_rows)
    # The frame may have rows of other assets too.
    require_rows(df=df.iloc[fold.train_start : fold.validation_stop])
    features = features or FeatureSpec()
    rows = with_derived(df[study_columns(df.columns, features)], features)
    return prepare_fold(rows, fold, features, fit_rows=fit_rows)
