"""Figures that the pages name, held against what the code does."""

import re
import tomllib

import numpy as np
import pytest

from kallos.checks import examine
from kallos.features.files.columns import COLUMNS
from kallos.specs.metrics import BUILT_IN
from kallos.specs.study import parse_tune_spec
from tests.pages import ROOT, blocks
from tests.samples import make_features, small_spec


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def test_the_study_file_of_the_page_is_made_of_the_defaults():
    first = next(block for block in blocks("docs/studies.md") if block.language == "toml")
    values = tomllib.loads(first.text)
    given = {"data": {name: values["data"][name] for name in ("asset_id", "end_date")}}
    assert parse_tune_spec(values) == parse_tune_spec(given)


@pytest.mark.parametrize(
    ("column", "figure"),
    [("macd", r"more than (\d+) robust deviations"), ("log_return_close", r"of the target, more than (\d+)")],
)
def test_a_value_is_an_outlier_from_the_named_deviations_on(column, figure):
    (named,) = re.findall(figure, page("checking.md"))
    frame = make_features()
    rng = np.random.default_rng(0)
    frame[column] = rng.normal(size=len(frame))
    distances = (frame[column] - frame[column].rolling(5, center=True, min_periods=1).median()).abs()
    deviation = 1.4826 * distances[distances > 0].median()
    for share, is_found in ((0.5, False), (2.0, True)):
        rows = frame.copy()
        rows.loc[rows.index[200], column] = share * int(named) * deviation
        findings = examine(rows.reset_index(), small_spec()).findings
        assert ("outlier" in {each.fault for each in findings if each.column == column}) == is_found


def test_a_study_needs_a_window_for_each_fold_one_to_train_on_and_the_hold_out():
    assert "fewer complete windows than folds, a window to train on and the hold-out take" in page("checking.md")
    spec = small_spec(folds={"n_folds": 3, "window": 80, "holdout": 1})
    for n_steps, is_found in ((4, True), (5, False)):
        findings = examine(make_features(80 * n_steps).reset_index(), spec).findings
        assert ("too-few-rows" in {each.fault for each in findings}) == is_found


def test_the_columns_of_the_page_are_those_that_ingest_makes():
    named = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", page("ingesting.md"), re.MULTILINE)
    assert named == [(each.name, each.unit, each.meaning) for each in COLUMNS]


def test_the_metrics_of_the_page_are_those_that_there_are():
    rows = re.findall(r"^\| `(\w+)` \| .* \| (\w+) \| (\w+) \| (\w+) \| (\w+) \|$", page("metrics.md"), re.MULTILINE)
    better = {"minimize": "lower", "maximize": "higher"}
    assert rows == [
        (each.name, each.scores, better[each.direction], each.unit, each.skill_is) for each in BUILT_IN.values()
    ]
