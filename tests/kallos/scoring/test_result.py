"""The result of a fold, as a file and back."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from safetensors.numpy import load, save

from kallos.scoring.fold import evaluate_fold, fit_fold, forecasts_of
from kallos.scoring.result import AssetForecasts, FoldFit, FoldResult
from tests.samples import make_features, small_job

KEY = "ab" * 32
ARRAYS = tuple(field.name for field in fields(AssetForecasts))
LEVELS = (0.1, 0.5, 0.9)
STEPS, TARGETS = 2, 3
REFUSALS = ("is not the result of a fold", "has a wrong checksum")


def refusal(content: bytes) -> str | None:
    """Return why a file is refused, or None."""
    try:
        FoldResult.of_content(content, KEY)
    except ValueError as error:
        return str(error)
    return None


def an_asset(seed, n_rows):
    rng = np.random.default_rng(seed)
    return AssetForecasts(
        quantiles=rng.normal(size=(n_rows - STEPS + 1, STEPS, TARGETS, len(LEVELS))),
        observed=rng.normal(size=(n_rows, TARGETS)),
        reference=rng.normal(size=(n_rows - STEPS + 1, TARGETS)),
        unit=rng.uniform(1, 2, TARGETS),
        change=rng.uniform(size=TARGETS),
        rows_per_year=rng.uniform(200, 300, 1),
    )


@pytest.fixture
def result() -> FoldResult:
    """Forecasts of eleven assets, whose windows differ in length."""
    return FoldResult(
        fit=FoldFit(epochs=3, best_epoch=2, seconds=0.1 + 0.2),
        levels=LEVELS,
        to_median=np.random.default_rng(0).uniform(1, 2, (2, STEPS, TARGETS)),
        assets=tuple(an_asset(seed, 4 + seed) for seed in range(11)),
    )


def assert_same(one: FoldResult, other: FoldResult) -> None:
    """Assert that no bit differs."""
    assert (one.fit, one.levels, len(one.assets)) == (other.fit, other.levels, len(other.assets))
    np.testing.assert_array_equal(one.to_median, other.to_median)
    for mine, theirs in zip(one.assets, other.assets, strict=True):
        for name in ARRAYS:
            assert getattr(mine, name).dtype == getattr(theirs, name).dtype == np.float64
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))


def test_a_result_of_several_assets_targets_and_levels_comes_back_to_the_bit(result):
    back = FoldResult.of_content(result.content(KEY), KEY)
    assert_same(back, result)
    assert back.content(KEY) == result.content(KEY)


def test_values_that_only_their_bits_tell_apart_come_back_as_they_are(result):
    odd = np.array([-0.0, 5e-324, np.nextafter(1.0, 2.0), -np.inf])
    asset = replace(result.assets[0], observed=np.stack([odd] * TARGETS, axis=1))
    back = FoldResult.of_content(replace(result, assets=(asset,)).content(KEY), KEY)
    assert back.assets[0].observed.tobytes() == asset.observed.tobytes()


def test_arrays_in_another_order_in_memory_are_the_same_file(result):
    (asset, *_), fortran = result.assets, np.asfortranarray
    turned = AssetForecasts(*(fortran(getattr(asset, name)) for name in ARRAYS))
    plain = replace(result, assets=(asset,))
    assert not turned.quantiles.flags.c_contiguous
    other = replace(result, to_median=fortran(result.to_median), assets=(turned,))
    assert other.content(KEY) == plain.content(KEY)
    assert_same(FoldResult.of_content(other.content(KEY), KEY), plain)


def test_a_file_is_in_the_safetensors_format_with_its_arrays_by_asset(result):
    arrays = load(result.content(KEY))
    names = ("quantiles", "observed", "reference", "unit", "change", "rows_per_year")
    assert arrays.keys() == {"to_median", *(f"{asset}.{name}" for asset in range(11) for name in names)}
    np.testing.assert_array_equal(arrays["10.quantiles"], result.assets[10].quantiles)


def test_a_file_is_that_of_one_fingerprint_alone(result):
    content = result.content(KEY)
    assert result.content("cd" * 32) != content
    with pytest.raises(ValueError, match="has a wrong checksum"):
        FoldResult.of_content(content, "cd" * 32)


def test_a_file_of_which_any_bit_was_changed_is_refused(result):
    # No bit of 1.5 can be changed without another value.
    fit = result.fit.model_copy(update={"seconds": 1.5})
    content = replace(result, fit=fit, assets=(an_asset(1, 3),)).content(KEY)
    for position in range(8 * len(content)):
        changed = bytearray(content)
        changed[position // 8] ^= 1 << position % 8
        assert refusal(bytes(changed)) in REFUSALS


def test_a_file_that_ends_early_or_late_is_refused(result):
    content = replace(result, assets=(an_asset(1, 3),)).content(KEY)
    for wrong in (*(content[:length] for length in range(len(content))), content + b"\x00", content + content):
        assert refusal(wrong) == "is not the result of a fold"


def header_of(content: bytes) -> dict:
    return json.loads(json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["kallos"])


def with_header(content: bytes, **changes) -> bytes:
    return save(load(content), {"kallos": json.dumps({**header_of(content), **changes})})


@pytest.mark.parametrize(
    "foreign",
    [
        lambda content: b"",
        lambda content: b"garbage",
        lambda content: b"\xff" * 64,
        lambda content: save({"weights": np.ones(3)}),
        lambda content: save(load(content)),
        lambda content: save(load(content), {"kallos": "[]"}),
        lambda content: save(load(content), {"kallos": "{cut"}),
        lambda content: save(load(content), {"kallos": json.dumps({"sha256": None})}),
        lambda content: with_header(content, fit=None),
        lambda content: with_header(content, fit={"epochs": 3}),
        lambda content: with_header(content, levels=None),
        lambda content: save({"to_median": np.ones(1)}, {"kallos": json.dumps(header_of(content))}),
        lambda content: save({"0.quantiles": np.ones(1)}, {"kallos": json.dumps(header_of(content))}),
    ],
    ids=[
        "empty",
        "garbage",
        "no length",
        "other arrays",
        "no header",
        "a list",
        "cut header",
        "no checksum",
        "no fit",
        "half a fit",
        "no levels",
        "no assets",
        "half an asset",
    ],
)
def test_a_file_of_something_else_is_refused(result, foreign):
    assert refusal(foreign(result.content(KEY))) in REFUSALS


@pytest.mark.parametrize("changes", [{"fit": {"epochs": 3, "best_epoch": 1, "seconds": 0.3}}, {"levels": [0.2, 0.5]}])
def test_a_file_that_says_something_else_of_its_fold_is_refused(result, changes):
    assert refusal(with_header(result.content(KEY), **changes)) == "has a wrong checksum"


def test_actual_values_are_those_of_each_horizon_in_the_window(result):
    asset = result.assets[3]
    for origin in range(asset.quantiles.shape[0]):
        np.testing.assert_array_equal(asset.actual[origin], asset.observed[origin : origin + STEPS])
    assert asset.actual.shape == asset.quantiles.shape[:3]


def test_a_folds_result_holds_its_forecasts_and_what_they_are_held_against(tmp_path):
    frame = make_features()
    features = {"target": ["log_return_close", "macd"]}
    over = {"model_name": "ridge", "horizon": 2, "likelihood": "quantile", "quantiles": LEVELS}
    job = small_job(tmp_path, frame, features=features, **over)
    result = evaluate_fold(job)
    (asset,), targets = result.assets, frame[features["target"]].to_numpy()
    (forecast,) = forecasts_of(job, fit_fold(job))
    np.testing.assert_array_equal(asset.quantiles, forecast.quantiles)
    assert asset.quantiles.shape == (39, 2, 2, 3)
    np.testing.assert_array_equal(asset.observed, targets[320:360])
    np.testing.assert_allclose(asset.unit, targets[:320].std(axis=0))
    np.testing.assert_allclose(asset.change, np.abs(np.diff(targets[:320], axis=0)).mean(axis=0))
    assert_same(FoldResult.of_content(result.content(job.fingerprint), job.fingerprint), result)


def test_one_target_of_one_asset_has_the_unit_one(tmp_path):
    result = evaluate_fold(small_job(tmp_path, model_name="ridge"))
    assert result.assets[0].unit.tolist() == [1.0]
    assert result.levels == (0.5,)
