"""A pattern of the week is found by the calendar, to as much as there is to find."""

import numpy as np
import pandas as pd
import pytest

from tests.samples import evaluated, small_job

N_ROWS, N_SCORED, SEEDS = 4000, 1000, range(10)


def noise(seed, *, effect):
    """Return noise of variance 1 with an effect of the weekday, of this variance."""
    rng = np.random.default_rng(seed)
    index = pd.date_range("2010-01-01", periods=N_ROWS, freq="D", name="timestamp", unit="ns")
    by_weekday = rng.normal(size=7)
    by_weekday = (by_weekday - by_weekday.mean()) / by_weekday.std() * np.sqrt(effect)
    return pd.DataFrame({"target": rng.normal(size=N_ROWS) + by_weekday[index.dayofweek]}, index=index)


def rmse(folder, frame, **features):
    job = small_job(
        folder,
        frame,
        model_name="ridge",
        folds={"n_folds": 1, "window": N_SCORED},
        features={"target": "target", **features},
    )
    return evaluated(job).rmse


def test_the_calendar_finds_a_weekly_pattern_and_costs_little_where_there_is_none(tmp_path):
    skills, costs = [], []
    for seed in SEEDS:
        patterned, plain = noise(seed, effect=0.25), noise(seed, effect=0.0)
        mean = patterned["target"].iloc[:-N_SCORED].mean()
        of_mean = np.sqrt(np.square(patterned["target"].iloc[-N_SCORED:] - mean).mean())
        skills.append(1 - rmse(tmp_path, patterned, calendar=["weekday"]) / of_mean)
        costs.append(rmse(tmp_path, plain, calendar=["weekday"]) / rmse(tmp_path, plain) - 1)
    # The mean's error has variance 1.25, and the best possible forecast's 1.
    assert np.mean(skills) == pytest.approx(1 - 1 / np.sqrt(1.25), abs=0.015)
    assert np.mean(costs) < 0.002
