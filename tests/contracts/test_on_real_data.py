"""Every architecture on two real tables: BTC by the day, and ETTh1 a day of hours ahead."""

import pytest

from benchmarks.studies import DATA, plan_of, spec_of, write_features
from kallos.architectures import registry
from kallos.tuner import run_tuning

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="real data lie beside the checkout, in ../shared/data"),
]


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    home = tmp_path_factory.mktemp("real")
    write_features(home)
    return home


@pytest.mark.parametrize("study", ["btc", "etth1"])
@pytest.mark.parametrize("name", list(registry()))
def test_an_architecture_tunes(name, study, features):
    over = {"folds": {"n_folds": 2}, "training": {"max_epochs": 2}, "n_trials": 2}
    result = run_tuning(plan_of(spec_of(study, model_name=name, **over), features))
    assert [trial.state for trial in result.trials] == ["complete", "complete"]
    # Two trials of two epochs are no model yet, and no nonsense either.
    assert result.best_value < 3 * result.baseline_value
