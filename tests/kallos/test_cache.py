import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import fsspec
import numpy as np
import pytest
import safetensors.numpy

from kallos.cache import FoldCache
from kallos.errors import KallosError
from kallos.scoring.fold import evaluate_fold
from kallos.scoring.result import AssetForecasts, FoldFit, FoldResult
from kallos.tuner import run_tuning
from tests.samples import by_learning_rate, fold_result, make_features, small_plan

KEY = "ab" * 32


def an_asset(seed: int) -> AssetForecasts:
    values = np.random.default_rng(seed)
    return AssetForecasts(
        quantiles=values.normal(size=(9, 2, 2, 3)),
        observed=values.normal(size=(10, 2)),
        reference=values.normal(size=(9, 2)),
        unit=values.uniform(size=2),
        change=values.uniform(size=2),
        rows_per_year=values.uniform(size=1),
    )


RESULT = FoldResult(
    fit=FoldFit(epochs=3, best_epoch=2, seconds=0.1 + 0.2),
    levels=(0.1, 0.5, 0.9),
    to_median=np.random.default_rng(9).uniform(1, 2, (2, 2, 2)),
    assets=(an_asset(0), an_asset(1)),
)


def bits(result: FoldResult | None) -> bytes | None:
    """Return all that a result holds, in bytes."""
    if result is None:
        return None
    arrays = [each for asset in result.assets for each in vars(asset).values()]
    said = f"{result.fit!r}{result.levels}{[(each.shape, each.dtype) for each in arrays]}"
    return said.encode() + b"".join(each.tobytes() for each in [result.to_median, *arrays])


@pytest.fixture
def cache(tmp_path) -> FoldCache:
    cache = FoldCache(tmp_path / "cache")
    cache.write(KEY, RESULT)
    return cache


def entry(tmp_path):
    (path,) = (path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    return path


def test_a_result_is_one_file_and_comes_back_to_the_bit(cache, tmp_path):
    assert entry(tmp_path) == tmp_path / "cache" / "ab" / f"{KEY}.safetensors"
    assert bits(cache.read(KEY)) == bits(RESULT)
    assert cache.read("cd" * 32) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: b"garbage",
        lambda content: b"\xff\xfe\x00",
        lambda content: b'{"sha256": null, "score": null}',
        lambda content: content[:-100] + bytes([content[-100] ^ 1]) + content[-99:],
        lambda content: content.replace(b'"epochs\\": 3', b'"epochs\\": 7'),
        lambda content: content[:-8] + np.array(np.nan).tobytes(),
        lambda content: safetensors.numpy.save(safetensors.numpy.load(content)),
    ],
    ids=[
        "emptied",
        "truncated",
        "a byte short",
        "garbage",
        "no text",
        "of another format",
        "a changed bit",
        "changed epochs",
        "NaN",
        "no checksum",
    ],
)
def test_a_damaged_entry_is_a_miss_and_a_log_line(cache, tmp_path, damage, caplog):
    path = entry(tmp_path)
    damaged = damage(path.read_bytes())
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    assert cache.read(KEY) is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert path.name in record.getMessage()
    assert "a cached fold is not used, because its entry " in record.getMessage()
    cache.write(KEY, RESULT)
    assert bits(cache.read(KEY)) == bits(RESULT)


def test_an_entry_under_another_name_is_foreign_and_a_log_line(cache, tmp_path, caplog):
    path = entry(tmp_path)
    other = "ab" + "0" * 62
    path.rename(path.with_name(f"{other}.safetensors"))
    assert cache.read(other) is None
    assert f"its entry has a wrong checksum: {tmp_path}/cache/ab/{other}.safetensors" in caplog.text


def test_many_writers_of_one_entry_leave_one_whole_entry(cache, tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: cache.write(KEY, RESULT), range(200)))
    assert entry(tmp_path).name == f"{KEY}.safetensors"
    assert bits(cache.read(KEY)) == bits(RESULT)


def test_a_study_behind_the_cache_computes_no_fold_twice(tmp_path):
    computed = []

    def count(job):
        computed.append(job.fingerprint)
        return by_learning_rate(job)

    cached = FoldCache(tmp_path).through(count)
    first, again = (run_tuning(small_plan(tmp_path), evaluate=cached) for _ in range(2))
    assert first == again == run_tuning(small_plan(tmp_path), evaluate=by_learning_rate)
    assert len(computed) == len(set(computed)) == 6


def test_a_study_by_another_metric_takes_every_fold_from_the_cache(tmp_path):
    def evaluate(job):
        return fold_result(job, 0.0, by_target=(job.fit.params["lr"], 1 / job.fit.params["hidden_dim"]))

    cache, features = FoldCache(tmp_path), {"target": ["log_return_close", "macd"]}
    plans = [small_plan(tmp_path, features=features, metric=metric, pruner="none") for metric in ("rmse", "mae")]
    by_rmse, by_mae = plans
    assert by_rmse.study_name != by_mae.study_name
    run_tuning(by_rmse, evaluate=cache.through(evaluate))
    # The first trials are drawn alike, whatever they are scored by.
    result = run_tuning(by_mae, evaluate=cache.through(lambda job: pytest.fail(f"{job.name} was fitted again")))
    assert result == run_tuning(by_mae, evaluate=evaluate)
    for trial in result.trials:
        assert trial.value == pytest.approx((trial.params["lr"] + 1 / trial.params["hidden_dim"]) / 2)


def test_a_study_with_other_variances_takes_every_fold_from_the_cache(tmp_path):
    frame = make_features().assign(log_range=lambda each: np.exp(each["log_return_open"]))
    cache, over = FoldCache(tmp_path), {"metric": "qlike", "model_name": "ridge", "n_trials": 1}
    first, other = (
        small_plan(
            tmp_path, frame, features={"target": "log_range", "target_transform": "log", "variance": each}, **over
        )
        for each in ([], ["log_range"])
    )
    assert first.study_name != other.study_name
    of_volatility = run_tuning(first, evaluate=cache.through(evaluate_fold))
    of_variance = run_tuning(other, evaluate=cache.through(lambda job: pytest.fail(f"{job.name} was fitted again")))
    assert of_volatility.best_value != of_variance.best_value == run_tuning(other).best_value


def test_what_is_old_or_too_much_is_removed_the_oldest_first(tmp_path):
    cache = FoldCache(tmp_path / "cache")
    keys = [f"{number:02d}" * 32 for number in range(5)]
    for day, key in enumerate(keys):
        cache.write(key, RESULT)
        os.utime(tmp_path / "cache" / key[:2] / f"{key}.safetensors", (day, day))
    size = cache.holdings().size_bytes // 5
    assert (cache.holdings().entries, cache.holdings().oldest) == (5, 0)
    assert cache.prune(written_before=2).entries == 2
    assert [cache.read(key) is not None for key in keys] == [False, False, True, True, True]
    removed = cache.prune(max_bytes=2 * size)
    assert (removed.entries, removed.size_bytes, removed.oldest) == (1, size, 2)
    assert [cache.read(key) is not None for key in keys] == [False, False, False, True, True]


def test_what_a_killed_process_left_unfinished_is_removed_with_the_rest(cache, tmp_path):
    unfinished = entry(tmp_path).with_name(".unfinished.safetensors.1-abc")
    unfinished.write_text("{")
    assert cache.holdings().entries == 1  # Perhaps somebody is writing it.
    os.utime(unfinished, (0, 0))
    assert cache.prune(max_bytes=0).entries == 2
    assert not unfinished.exists()


@pytest.fixture
def shared() -> Iterator[FoldCache]:
    """A cache in a store that is no folder of this machine."""
    yield FoldCache("memory://kallos/fold-cache")
    fsspec.filesystem("memory").store.clear()


def test_a_cache_in_a_store_of_others_keeps_results_to_the_bit(shared):
    assert shared.read(KEY) is None
    assert shared.prune(max_bytes=0).entries == 0
    shared.write(KEY, RESULT)
    assert bits(FoldCache("memory://kallos/fold-cache").read(KEY)) == bits(RESULT)
    (file,) = fsspec.filesystem("memory").find("/kallos/fold-cache")
    assert file == f"/kallos/fold-cache/ab/{KEY}.safetensors"
    shared.remove(KEY)
    shared.remove(KEY)
    assert shared.read(KEY) is None


def test_a_torn_entry_in_a_store_is_a_miss_and_a_log_line_without_the_stores_password(caplog):
    cache = FoldCache("memory://me:secret@host/fold-cache")
    cache.write(KEY, RESULT)
    store = fsspec.filesystem("memory")
    (path,) = store.find("/")
    store.pipe_file(path, store.cat_file(path)[:-40])
    assert cache.read(KEY) is None
    assert f"{KEY}.safetensors" in caplog.text
    assert "secret" not in caplog.text
    store.store.clear()


def test_what_is_old_or_too_much_is_removed_from_a_store_too(shared):
    keys = [f"{number:02d}" * 32 for number in range(4)]
    for day, key in enumerate(keys):
        shared.write(key, RESULT)
        file = fsspec.filesystem("memory").store[f"/kallos/fold-cache/{key[:2]}/{key}.safetensors"]
        file.modified = datetime.fromtimestamp(day, UTC)
    size = shared.holdings().size_bytes // 4
    assert (shared.holdings().entries, shared.holdings().oldest) == (4, 0)
    assert shared.prune(written_before=1).entries == 1
    assert shared.prune(max_bytes=2 * size).oldest == 1
    assert [shared.read(key) is not None for key in keys] == [False, False, True, True]


def test_a_url_names_the_same_cache_as_its_folder(cache, tmp_path):
    by_url = FoldCache(f"file://{tmp_path}/cache")
    assert bits(by_url.read(KEY)) == bits(RESULT)
    by_url.write(KEY, replace(RESULT, assets=RESULT.assets[:1]))
    assert bits(cache.read(KEY)) == bits(replace(RESULT, assets=RESULT.assets[:1]))


@pytest.mark.parametrize("url", ["nosuch://bucket/cache", "s3://me:secret@bucket/cache"])
def test_a_store_that_cannot_be_opened_is_said_in_one_line(url):
    with pytest.raises(KallosError, match="a path or an fsspec URL that can be opened: ") as refused:
        FoldCache(url)
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)
