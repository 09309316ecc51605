"""From a table of features to the series of one fold: the three steps that users know by name."""

from collections.abc import Iterator, Sequence
from datetime import date

import pandas as pd

from kallos.errors import require, require_callable, require_positive, require_whole
from kallos.features.chunks import OnRows
from kallos.features.store import FeatureStore
from kallos.folds.columns import PreparedFold, prepare_fold, study_columns
from kallos.folds.grid import Fold, cut_folds, splits
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

    Those of several assets are indexed by asset and timestamp.

    `start_date` and `end_date` are inclusive; a date alone as the end means its whole day. `db_url` is an SQLAlchemy
    URL of SQLite or PostgreSQL. The index of a regular frequency carries it as `index.freq`. Timestamps that are all
    midnight by their own offsets, or in the zone `days_in`, are days, and keep their dates.

    `query` is one SELECT in place of a table, and may name the bound `:asset_id`, `:start_date` and `:end_date`; a
    table without a column of the asset's name is read with `single_asset`. Connections cannot write, and wait
    `timeout` seconds at most for an answer. `on_rows` is told after each chunk how many rows there are so far.

    Raises `DatabaseError` if the database cannot be reached, takes too long, or holds no such table or column,
    `DataError` if it holds no such rows, or rows that are doubled or missing, and `UsageError` for a date that is none
    or a query of another form.
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

    The grid depends on the calendar alone (or, for a `window` in rows, on the first row), never on how long
    the data is: one more day moves no fold. With `n_folds=3` and quarters::

                    2023-Q1   Q2       Q3       Q4       2024-Q1   current window
        fold 1   ... train ········· x [ val  ]
        fold 2   ... train ·················· x [ val  ]
        fold 3   ... train ··························· x [ val   ]  (apart)

    Training windows expand from the first row, or roll over `train_rows` rows. At each `x`, the last
    `label_horizon - 1` rows before the validation window are purged, and `gap` more. The leak that this
    prevents: a label that looks 7 rows ahead is known 7 rows later, so the last 6 training labels would hold
    prices from inside the validation window's first forecasts. The current window at the end is
    left out, since its score would change every day. The last `holdout` complete windows are left out, too, purged
    from the folds like a validation window from its training rows.

    Raises `DataError` if the rows are not sorted and unique, or do not hold so many complete windows, and
    `UsageError` for a number that cannot be.
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
    """Return one fold's normalised float32 series: the target, and the other columns as past covariates.

    Everything is fitted on the fold's first `fit_rows` training rows (default: all of them) and applied to
    all rows up to the end of the validation window:

    - target: standardised; `PreparedFold.target_scale` brings forecasts back to its own units
    - `volume`: log(1 + x), standardised
    - `bounded`: scaled to [0, 1], later values clipped to it
    - `unbounded`: less the median, over the distance of the 5th to the 95th percentile
    - `rate_of_change`: sign(x) log(1 + abs(x)), standardised
    - `log_return`: standardised, with `log_return_pca` projected on principal components
    - `other`: standardised

    Raises `FitError` if the target is constant over the rows that fit, or a value leaves float32, `UsageError` for an
    argument of another kind, and `DataError` for rows that are not sorted and unique, or have a time zone.
    """
    require(pd.DataFrame, df=df)
    require(Fold, fold=fold)
    require((FeatureSpec, type(None)), features=features)
    if fit_rows is not None:
        require_whole(1, fit_rows=fit_rows)
    # Beside the fold's own rows there may be those of other assets.
    require_rows(df=df.iloc[fold.train_start : fold.validation_stop])
    features = features or FeatureSpec()
    return prepare_fold(df[study_columns(df.columns, features)], fold, features, fit_rows=fit_rows)
