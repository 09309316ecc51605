import json

import numpy as np
import pandas as pd
import pytest

from kallos.errors import DataError
from kallos.folds.columns import fit_preparation
from kallos.folds.scalers import Preparation, PreparationDocument
from kallos.specs.data import FeatureSpec
from tests.samples import make_features


def features_of_many_returns() -> pd.DataFrame:
    frame = make_features(500)
    rng = np.random.default_rng(1)
    for number in range(9):
        frame[f"log_return_{number}"] = frame["log_return_open"] * number + 10.0 ** (number - 6) * rng.normal(size=500)
    return frame


FRAME = features_of_many_returns()


@pytest.mark.parametrize(
    "features", [FeatureSpec(), FeatureSpec(log_return_pca=0.9), FeatureSpec(target=("log_return_close", "macd"))]
)
def test_a_preparation_comes_back_from_json_to_the_bit(features):
    fitted = fit_preparation(FRAME.iloc[:300], features)
    text = fitted.document().model_dump_json()
    restored = Preparation.restore(PreparationDocument.model_validate_json(text), features)
    assert restored.document() == fitted.document()
    assert {scaler.group for scaler in restored.scalers} == {
        "volume", "bounded", "rate_of_change", "log_return", "other",
        *(["unbounded"] if "macd" not in features.targets else []),
    }  # fmt: skip
    for rows in (FRAME, FRAME.iloc[300:], FRAME.iloc[299:300]):
        before, after = fitted.apply(rows), restored.apply(rows)
        assert before.target.values().tobytes() == after.target.values().tobytes()
        assert before.past_covariates.values().tobytes() == after.past_covariates.values().tobytes()
    forecasts = np.array([-1.7, 0.1, 3.3])[:, None]
    assert restored.target_scale.restore(forecasts).tobytes() == fitted.target_scale.restore(forecasts).tobytes()


def test_what_later_rows_are_changes_nothing_of_earlier_ones():
    fitted = fit_preparation(FRAME.iloc[:300], FeatureSpec())
    whole, part = fitted.apply(FRAME), fitted.apply(FRAME.iloc[:350])
    assert whole.past_covariates[:350] == part.past_covariates


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda group: group["steps"].pop(), "must be the one of its features"),
        (lambda group: group["steps"][1].update(kind="MinMaxScaler"), "must be the one of its features"),
        (
            lambda group: group["steps"][1]["fitted"].pop("mean_"),
            "a StandardScaler must have exactly the fitted values mean_, scale_",
        ),
        (lambda group: group["steps"][1]["fitted"]["mean_"].append(0.0), "mean_ of a StandardScaler must have 1 col"),
    ],
)
def test_a_document_of_other_scalers_is_refused(change, said):
    fitted = fit_preparation(FRAME, FeatureSpec())
    values = json.loads(fitted.document().model_dump_json())
    change(values["groups"][0])
    with pytest.raises(DataError, match=said):
        Preparation.restore(PreparationDocument.model_validate(values), FeatureSpec())
