"""The weights of old and recent samples, and the rows that are learnt."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from kallos.errors import UsageError
from kallos.scoring.fold import fit_fold
from kallos.scoring.recency import Recency
from kallos.scoring.training import fit_once
from tests.samples import make_features, small_job

LAGS = 3


@pytest.mark.parametrize(("half_life", "train_rows"), [(0, 0), (40, 0), (0, 120), (40, 120), (0, 5)])
def test_recent_samples_count_as_in_a_weighted_regression(tmp_path, half_life, train_rows):
    frame = make_features()[["log_return_close"]]
    job = small_job(tmp_path, frame, model_name="ridge")
    fitted = fit_fold(replace(job, fit=replace(job.fit, params={**job.fit.params, "input_chunk_length": LAGS})))
    (series,) = fitted.series
    stop = series.fold.train_stop
    fit_once(fitted.model, fitted.series, [stop], Recency(half_life, train_rows))
    # 30 samples of 3 + 1 rows are the fewest.
    first = 0 if not train_rows else stop - max(train_rows, LAGS + 1 + 29)
    windows = np.lib.stride_tricks.sliding_window_view(series.target.values()[first:stop, 0], LAGS + 1)
    age = np.arange(len(windows))[::-1]
    # The weights are 1 on average over the rows, of which the first three are no sample's own.
    rows = 0.5 ** (np.arange(stop - first) / half_life) if half_life else np.ones(stop - first)
    weights = 0.5 ** (age / half_life) / rows.mean() if half_life else None
    expected = Ridge(alpha=job.fit.params["alpha"]).fit(windows[:, :LAGS], windows[:, LAGS], sample_weight=weights)
    values = fitted.model.predict(1, series=series.target[:stop], verbose=False).values()
    last = series.target.values()[stop - LAGS : stop, 0]
    np.testing.assert_allclose(values[0, 0], expected.predict(last[None])[0], rtol=1e-4)


@pytest.mark.parametrize("name", ["half_life", "train_rows"])
@pytest.mark.parametrize("value", [-1, 0.5, "500", True])
def test_a_recency_is_a_whole_number_of_rows(tmp_path, name, value):
    job = small_job(tmp_path, model_name="ridge")
    with pytest.raises(UsageError, match=f"^{name} must be a whole number of at least 0, not {value!r}$"):
        fit_fold(replace(job, fit=replace(job.fit, params={**job.fit.params, name: value})))
