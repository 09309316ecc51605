"""Multiply-adds of a forecast, against those that are counted by hand from the shapes of the layers."""

import pytest

from kallos.architectures import Widths, registry
from kallos.scoring.job import FitSpec
from kallos.scoring.operations import count_operations
from tests.samples import small_spec

ROWS, COLUMNS, HORIZON = 30, 4, 2


def operations(name, *, n_targets=1, quantiles=None, **params):
    targets = [f"target_{i}" for i in range(n_targets)]
    likelihood = {} if quantiles is None else {"likelihood": "quantile", "quantiles": quantiles}
    spec = small_spec(model_name=name, features={"target": targets}, horizon=HORIZON, **likelihood)
    fit = FitSpec.of(spec, {**registry()[name].defaults, "input_chunk_length": ROWS, **params})
    return count_operations(fit, Widths(n_targets, COLUMNS - n_targets))


@pytest.mark.parametrize(("name", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_recurrent_weights_count_once_for_each_step_of_the_input(name, gates):
    first, second = 32 * (COLUMNS + 32), 32 * (32 + 32)
    assert operations(name, hidden_dim=32) == ROWS * gates * first + 32 * HORIZON
    assert operations(name, hidden_dim=32, n_rnn_layers=2) == ROWS * gates * (first + second) + 32 * HORIZON


def test_several_targets_and_quantiles_are_forecast_by_more_products():
    recurrent = ROWS * 3 * 32 * (COLUMNS + 32)
    assert operations("gru", hidden_dim=32, n_targets=2, quantiles=(0.1, 0.5, 0.9)) == recurrent + 32 * HORIZON * 2 * 3


def test_a_linear_model_multiplies_each_lag_once_for_each_step_ahead():
    assert operations("nlinear") == ROWS * COLUMNS * HORIZON
    assert operations("ridge", covariate_lags=7) == (ROWS + 7 * (COLUMNS - 1)) * HORIZON
    # Three means, and the last row of the covariates.
    assert operations("har") == (3 + COLUMNS - 1) * HORIZON
    assert operations("har", covariates=False) == 3 * HORIZON
    # One layer for the moving average, one for what is left.
    assert operations("dlinear") == 2 * ROWS * COLUMNS * HORIZON


def test_of_trees_the_nodes_on_the_way_to_a_leaf_count():
    # Each step has trees of its own, and so has each quantile.
    assert operations("lightgbm", n_estimators=400, num_leaves=64) == HORIZON * 400 * 6
    assert operations("lightgbm", n_estimators=20, num_leaves=2) == HORIZON * 20
    assert operations("lightgbm", n_estimators=50, num_leaves=33) == HORIZON * 50 * 6
    assert operations("lightgbm", n_estimators=50, num_leaves=4, quantiles=(0.1, 0.5, 0.9)) == 3 * HORIZON * 50 * 2


def test_attention_counts_by_the_square_of_the_input():
    # What is linear in the rows cancels out of the second difference. The products of the encoder's queries and keys,
    # and of these with its values, are left: two of 32 columns for each pair of rows.
    counts = [operations("transformer", input_chunk_length=rows) for rows in (20, 30, 40)]
    assert counts[2] - 2 * counts[1] + counts[0] == 2 * 32 * (40**2 - 2 * 30**2 + 20**2)


@pytest.mark.parametrize("name", registry())
def test_every_architecture_has_a_count_that_is_the_same_each_time(name):
    longer = {} if name in ("lightgbm",) else {"input_chunk_length": ROWS + 10}
    assert operations(name) == operations(name) > 0
    assert operations(name, **longer) >= operations(name)
