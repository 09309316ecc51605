import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap

from kallos.choosing.losses import FoldLosses, as_values, block_length, first_equal, over_assets, sample_of, shrinkage
from kallos.choosing.resampling import MeansWithinFolds, WithinFolds


def gamma(*shape, seed=0):
    return np.random.default_rng(seed).gamma(1, 1, size=shape)


def test_the_mean_of_what_replaces_squared_errors_is_the_rmse():
    squares = gamma(3, 50)
    np.testing.assert_allclose(as_values(squares, "root").mean(axis=1), np.sqrt(squares.mean(axis=1)))
    assert as_values(squares) is squares


def test_what_replaces_squared_errors_varies_like_the_rmse():
    rng = np.random.default_rng(0)
    draws = rng.integers(200, size=(4000, 200))
    squares = gamma(1, 200)
    values = as_values(squares, "root")[0]
    assert values[draws].mean(axis=1).std() == pytest.approx(np.sqrt(squares[0][draws].mean(axis=1)).std(), rel=0.02)


def test_a_forecast_without_error_has_an_rmse_of_zero():
    assert not as_values(np.zeros((2, 5)), "root").any()


def test_folds_count_alike_whatever_their_lengths():
    losses = FoldLosses((gamma(3, 30), 5 + gamma(3, 90, seed=1), gamma(3, 41, seed=2)))
    sample = sample_of(losses)
    assert sample.lengths == (30, 90, 41)
    np.testing.assert_allclose(sample.rows.mean(axis=0), losses.values)
    np.testing.assert_allclose(losses.values, np.mean([fold.mean(axis=1) for fold in losses.folds], axis=0))


def test_very_many_origins_are_grouped_and_their_mean_stays():
    losses = FoldLosses((gamma(2, 3001), gamma(2, 2500, seed=1)), overlap=24)
    sample = sample_of(losses)
    # 5,501 origins in groups of three.
    assert sample.lengths == (1001, 834)
    assert sample.block_length == max(2 * 8 - 1, 56)
    np.testing.assert_allclose(sample.rows.mean(axis=0), losses.values)


def test_blocks_are_as_long_as_forecasts_overlap_and_longer_if_the_folds_allow_it():
    assert block_length((250,) * 5, 1) == 46  # 1.3 · √1250 = 45.96
    assert block_length((250,) * 5, 60) == 119
    assert block_length((20,) * 5, 1) == 10
    assert block_length((20,) * 3, 1) == 7
    assert block_length((10,) * 3, 1) == 3


@pytest.mark.parametrize(("n", "length"), [(20, 5), (40, 30), (50, 1)])
def test_the_shrinkage_is_that_of_the_bootstrap_of_independent_rows(n, length):
    rng, variances = np.random.default_rng(0), []
    for _ in range(150):
        bootstrap = StationaryBootstrap(length, rng.normal(size=n), seed=rng)
        variances.append(np.var([data[0][0].mean() for data in bootstrap.bootstrap(100)]))
    # The variance of the true mean is 1 / n.
    assert np.mean(variances) * n == pytest.approx(shrinkage(n, length), rel=0.15)


def test_blocks_never_cross_into_another_fold():
    lengths = (7, 20, 11)
    bootstrap = WithinFolds(5, np.repeat([0, 1, 2], lengths), lengths=lengths, seed=0)
    for data in bootstrap.bootstrap(200):
        assert data[0][0].tolist() == np.repeat([0, 1, 2], lengths).tolist()


def test_the_bootstrap_of_one_fold_is_that_of_arch():
    rows = gamma(40, 2)
    ours = WithinFolds(4, rows, lengths=(40,), seed=3).var(np.mean, reps=2000, extra_kwargs={"axis": 0})
    theirs = StationaryBootstrap(4, rows, seed=4).var(np.mean, reps=2000, extra_kwargs={"axis": 0})
    np.testing.assert_allclose(ours, theirs, rtol=0.1)


def test_a_resample_that_is_its_mean_is_the_mean_of_the_same_resample():
    rows = gamma(30, 3)
    whole = WithinFolds(4, rows, lengths=(12, 18), seed=0)
    means = MeansWithinFolds(4, rows, lengths=(12, 18), seed=0)
    for (data, _), (mean, _) in zip(whole.bootstrap(50), means.bootstrap(50), strict=True):
        np.testing.assert_allclose(mean[0], data[0].mean(axis=0)[None])


def test_assets_count_alike_and_losses_of_one_timestamp_belong_together():
    first, second = gamma(2, 4), gamma(2, 3, seed=1)
    days = np.array(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"], dtype="datetime64[D]")
    joined = over_assets([first, second], [days, days[[0, 1, 3]]])
    assert joined.shape == (2, 4)
    np.testing.assert_allclose(joined.mean(axis=1), (first.mean(axis=1) + second.mean(axis=1)) / 2)
    # On the third day there is the first asset alone.
    np.testing.assert_allclose(joined[:, 2], first[:, 2] / 2)
    np.testing.assert_allclose(over_assets([first, first], [days, days]), first)


@pytest.mark.parametrize(
    ("lengths", "overlap", "expected"),
    [
        ((9, 10), 1, False),
        ((10, 10), 1, True),
        ((10, 10), 6, False),
        ((60,) * 5, 24, False),
        ((16,) * 5, 5, True),
        ((1, 40), 1, False),
    ],
)
def test_few_origins_or_blocks_or_folds_shorter_than_two_forecasts_cannot_be_resampled(lengths, overlap, expected):
    assert FoldLosses(tuple(gamma(2, n) for n in lengths), overlap).can_be_resampled is expected


def test_columns_are_equal_to_the_first_one_that_is_like_them():
    rows = gamma(30, 4)
    rows[:, 2] = rows[:, 0] * (1 + 1e-12)
    rows[:, 3] = rows[:, 1]
    assert first_equal(rows) == [0, 1, 0, 1]
