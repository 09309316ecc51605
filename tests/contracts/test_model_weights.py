"""The weights of every architecture come back from their file, whichever architectures are there."""

import numpy as np
import pytest
from darts import TimeSeries

from kallos.architectures import Widths, create_model, registry
from kallos.scoring.training import quiet_single_thread
from kallos.scoring.weights import restore_weights, weights_bytes


@pytest.mark.parametrize("n_covariates", [0, 3])
@pytest.mark.parametrize("name", sorted(registry()))
def test_a_network_with_the_weights_of_a_file_forecasts_as_the_one_that_was_saved(name, n_covariates):
    params = (
        {"use_reversible_instance_norm": True} if "use_reversible_instance_norm" in registry()[name].defaults else {}
    )
    assert_comes_back(name, params, n_covariates=n_covariates)


@pytest.mark.parametrize("name", sorted(registry()))
def test_so_does_one_of_several_targets_with_quantiles_where_it_can_learn_them(name):
    quantiles = (0.1, 0.5, 0.9) if registry()[name].learns_quantiles else None
    # What Darts' NLinear cannot have beside a likelihood.
    params = {"normalize": False} if name == "nlinear" else {}
    assert_comes_back(name, params, n_covariates=3, n_targets=2, quantiles=quantiles)


def assert_comes_back(name, params, *, n_covariates, n_targets=1, quantiles=None):
    widths = Widths(n_targets, n_covariates)
    made, other = (
        create_model(
            name,
            params,
            horizon=2,
            lead=3,
            max_epochs=0,
            seed=seed,
            widths=widths,
            quantiles=quantiles,
        )
        for seed in (1, 2)
    )
    rng = np.random.default_rng(0)
    series = TimeSeries.from_values(rng.normal(size=(120, n_targets)).astype(np.float32))
    covariates = (
        TimeSeries.from_values(rng.normal(size=(120, n_covariates)).astype(np.float32)) if n_covariates else None
    )
    with quiet_single_thread():
        # A network has no epochs, and keeps what it began with; a regression learns.
        made.fit(series, past_covariates=covariates)
        saved = weights_bytes(made)
        restore_weights(other, saved, widths, "weights")
        before, after = (
            model.predict(
                2,
                series=series,
                past_covariates=covariates,
                verbose=False,
                predict_likelihood_parameters=quantiles is not None,
            ).values()
            for model in (made, other)
        )
    assert np.isfinite(before).all()
    assert before.shape == (2, n_targets * len(quantiles or [None]))
    assert before.tobytes() == after.tobytes()
    assert weights_bytes(other) == saved
