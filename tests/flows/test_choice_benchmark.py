"""The benchmark of what a study chooses: its smallest run, held against the harness of accuracy."""

from dataclasses import replace

import pandas as pd

from benchmarks import accuracy
from benchmarks.accuracy import DEVELOPMENT, RANGES, errors
from benchmarks.choice import Task, losses_of

# Two years; `arch` brings the rows along.
(STOCKS,) = (replace(each, first="2013-01-01") for each in DEVELOPMENT if each.name == "S&P 500")


def test_the_smallest_run_scores_every_contestant_on_the_same_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(accuracy, "DEVELOPMENT", (STOCKS,))
    found = losses_of(Task("S&P 500 (2013-01-01)", "range", 1, 2, ("ridge", "har")), str(tmp_path))
    assert not found.isna().any().any()
    # The parts that both benchmarks have.
    (ridge,) = (each for each in RANGES if each.label == "ridge")
    pd.testing.assert_series_equal(found["ridge, defaults"], errors(STOCKS, ridge, 0), check_names=False)
    # A study begins with the defaults, and HAR has nothing to tune.
    pd.testing.assert_series_equal(found["har alone"], found["har, defaults"], check_names=False)
    # A study of two architectures chooses among the defaults of each and their mean.
    chosen = {"one study: best", "one study: simplest", "one study: ensemble"}
    assert chosen.issubset(found.columns)
