"""Rows that are kept for whoever asks for the same, or for fewer of them."""

import pytest

from kallos.checks import RowReader
from kallos.features.store import FeatureStore
from kallos.specs.data import DataSpec
from tests.samples import make_features


@pytest.fixture
def reads(tmp_path, monkeypatch) -> list[DataSpec]:
    """What is read from the database, as it is read."""
    read = FeatureStore.read
    done: list[DataSpec] = []

    def note(self, spec, on_rows=None):
        done.append(spec)
        return read(self, spec, on_rows)

    with FeatureStore(f"sqlite:///{tmp_path / 'features.db'}") as store:
        store.write({"ABC": make_features(), "DEF": make_features(seed=1)})
    monkeypatch.setattr(FeatureStore, "read", note)
    return done


@pytest.fixture
def reader(tmp_path) -> RowReader:
    return RowReader(f"sqlite:///{tmp_path / 'features.db'}")


@pytest.mark.parametrize(
    ("first", "then", "times"),
    [
        ({}, {}, 1),
        ({}, {"end_date": "2020-06-30"}, 1),
        ({"end_date": "2020-06-30"}, {"end_date": "2020-06-30T00:00:00"}, 1),
        ({"end_date": "2020-06-30"}, {"end_date": "2020-05-31"}, 1),
        ({"end_date": "2020-06-30"}, {"end_date": "2020-07-31"}, 2),
        ({"end_date": "2020-06-30"}, {}, 2),
        ({"start_date": "2020-02-01"}, {}, 2),
        ({"asset_id": "DEF"}, {}, 2),
    ],
)
def test_rows_are_read_again_only_where_those_kept_lack_some(reader, reads, first, then, times):
    specs = [DataSpec.model_validate({"asset_id": "ABC", **given}) for given in (first, then)]
    kept, found = (reader.read(spec) for spec in specs)
    assert len(reads) == times
    assert (found is kept) == (times == 1)
