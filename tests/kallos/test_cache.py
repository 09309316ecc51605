import json
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import fsspec
import pytest

from kallos.cache import FoldCache
from kallos.errors import KallosError
from kallos.tuner import run_tuning
from tests.samples import by_learning_rate, small_plan

SCORE = FoldScore(
    value=0.1 + 0.2,
    rmse=0.1 + 0.2,
    mae=0.25,
    by_asset=(0.1 + 0.2,),
    by_target=(0.1 + 0.2,),
    n_forecasts=40,
    epochs=3,
    best_epoch=2,
    seconds=1.5,
)
KEY = "ab" * 32


@pytest.fixture
def cache(tmp_path) -> FoldCache:
    cache = FoldCache(tmp_path / "cache")
    cache.write(KEY, SCORE)
    return cache


def entry(tmp_path):
    (path,) = (tmp_path / "cache").rglob("*.json")
    return path


def test_a_score_comes_back_to_the_bit(cache):
    assert cache.read(KEY) == SCORE
    assert cache.read("cd" * 32) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "garbage",
        lambda text: "[]",
        lambda text: text.replace("0.25", "0.24"),
        lambda text: json.dumps({**json.loads(text), "score": {**SCORE.model_dump(), "rmse": float("nan")}}),
        lambda text: json.dumps({"score": json.loads(text)["score"]}),
        lambda text: '{"sha256": null, "score": null}',
    ],
    ids=["emptied", "truncated", "garbage", "a list", "changed", "NaN", "no checksum", "nulls"],
)
def test_a_damaged_entry_is_a_miss_and_a_log_line(cache, tmp_path, damage, caplog):
    path = entry(tmp_path)
    path.write_text(damage(path.read_text()))
    assert cache.read(KEY) is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert path.name in record.getMessage()
    cache.write(KEY, SCORE)
    assert cache.read(KEY) == SCORE


def test_bytes_that_are_no_text_are_a_miss(cache, tmp_path):
    entry(tmp_path).write_bytes(b"\xff\xfe\x00")
    assert cache.read(KEY) is None


def test_an_entry_under_another_name_is_foreign(cache, tmp_path):
    path = entry(tmp_path)
    other = "ab" + "0" * 62
    path.rename(path.with_name(f"{other}.json"))
    assert cache.read(other) is None


def test_many_writers_of_one_entry_leave_one_whole_entry(cache, tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: cache.write(KEY, SCORE), range(200)))
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == [f"{KEY}.json"]
    assert cache.read(KEY) == SCORE


def test_a_study_behind_the_cache_computes_no_fold_twice(tmp_path):
    computed = []

    def count(job):
        computed.append(job.fingerprint)
        return by_learning_rate(job)

    cached = FoldCache(tmp_path).through(count)
    first, again = (run_tuning(small_plan(tmp_path), evaluate=cached) for _ in range(2))
    assert first == again == run_tuning(small_plan(tmp_path), evaluate=by_learning_rate)
    assert len(computed) == len(set(computed)) == 6


def test_what_is_old_or_too_much_is_removed_the_oldest_first(tmp_path):
    cache = FoldCache(tmp_path / "cache")
    keys = [f"{number:02d}" * 32 for number in range(5)]
    for day, key in enumerate(keys):
        cache.write(key, SCORE)
        os.utime(tmp_path / "cache" / key[:2] / f"{key}.json", (day, day))
    size = cache.holdings().size_bytes // 5
    assert (cache.holdings().entries, cache.holdings().oldest) == (5, 0)
    assert cache.prune(written_before=2).entries == 2
    assert [cache.read(key) is not None for key in keys] == [False, False, True, True, True]
    removed = cache.prune(max_bytes=2 * size)
    assert (removed.entries, removed.size_bytes, removed.oldest) == (1, size, 2)
    assert [cache.read(key) is not None for key in keys] == [False, False, False, True, True]


def test_what_a_killed_process_left_unfinished_is_removed_with_the_rest(cache, tmp_path):
    unfinished = entry(tmp_path).with_name(".unfinished.json.1-abc")
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


def test_a_cache_in_a_store_of_others_keeps_scores_to_the_bit(shared):
    assert shared.read(KEY) is None
    assert shared.prune(max_bytes=0).entries == 0
    shared.write(KEY, SCORE)
    assert FoldCache("memory://kallos/fold-cache").read(KEY) == SCORE
    shared.remove(KEY)
    shared.remove(KEY)
    assert shared.read(KEY) is None


def test_a_torn_entry_in_a_store_is_a_miss_and_a_log_line_without_the_stores_password(caplog):
    cache = FoldCache("memory://me:secret@host/fold-cache")
    cache.write(KEY, SCORE)
    store = fsspec.filesystem("memory")
    (path,) = store.find("/")
    store.pipe_file(path, store.cat_file(path)[:40])
    assert cache.read(KEY) is None
    assert f"{KEY}.json" in caplog.text
    assert "secret" not in caplog.text
    store.store.clear()


def test_what_is_old_or_too_much_is_removed_from_a_store_too(shared):
    keys = [f"{number:02d}" * 32 for number in range(4)]
    for day, key in enumerate(keys):
        shared.write(key, SCORE)
        file = fsspec.filesystem("memory").store[f"/kallos/fold-cache/{key[:2]}/{key}.json"]
        file.modified = datetime.fromtimestamp(day, UTC)
    size = shared.holdings().size_bytes // 4
    assert (shared.holdings().entries, shared.holdings().oldest) == (4, 0)
    assert shared.prune(written_before=1).entries == 1
    assert shared.prune(max_bytes=2 * size).oldest == 1
    assert [shared.read(key) is not None for key in keys] == [False, False, True, True]


def test_a_url_names_the_same_cache_as_its_folder(cache, tmp_path):
    assert FoldCache(f"file://{tmp_path}/cache").read(KEY) == SCORE


@pytest.mark.parametrize("url", ["nosuch://bucket/cache", "s3://me:secret@bucket/cache"])
def test_a_store_that_cannot_be_opened_is_said_in_one_line(url):
    with pytest.raises(KallosError, match="a path or an fsspec URL that can be opened: ") as refused:
        FoldCache(url)
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)
