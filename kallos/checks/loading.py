"""A study's features, read once, and handed on only if they are sound."""

from datetime import datetime

import pandas as pd

from kallos.checks.examination import examine
from kallos.checks.findings import Examination
from kallos.feature_store import FeatureStore, tidy
from kallos.row_chunks import OnRows
from kallos.settings import DB_TIMEOUT
from kallos.specs import TuneSpec


def load_sound_features(
    db_url: str,
    spec: TuneSpec,
    *,
    now: datetime | None = None,
    timeout: float = DB_TIMEOUT,
    on_rows: OnRows | None = None,
) -> tuple[pd.DataFrame, Examination]:
    """Return the features of a study as `load_features_from_db` does, and what was found in them.

    Raises `DataError` with a line for each fault if tuning on them would be unsound.
    """
    with FeatureStore(db_url, timeout=timeout) as store:
        rows = store.read(spec.data, on_rows)
    examination = examine(rows, spec, now=now)
    examination.require_sound()
    return tidy(rows, spec.data), examination
