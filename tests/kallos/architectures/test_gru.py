"""The GRU in compiled loops, against torch's own."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from darts import TimeSeries
from darts.models import BlockRNNModel
from darts.utils.serialization import safe_globals

from kallos.architectures import Widths, create_model
from kallos.architectures.gru.layer import GRU, Layer
from kallos.architectures.gru.module import GRUModule
from kallos.scoring.job import FitSpec
from tests.samples import small_spec

TORCH = torch.nn.GRU


def made(kind, *arguments, seed=7, **options):
    torch.manual_seed(seed)
    return kind(*arguments, **options)


def drawn(*shape, seed=11, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def passed(gru, sequence, state=None, seed=13):
    """Return the outputs and, of a loss that looks at all of them, the gradients of everything that has one."""
    sequence = sequence.clone().requires_grad_()
    given = [sequence] if state is None else [sequence, state.clone().requires_grad_()]
    torch.manual_seed(seed)
    output, last = gru(*given)
    loss = (output * drawn(*output.shape, seed=1)).sum() + (last * drawn(*last.shape, seed=2)).sum()
    of = {"sequence": sequence, **({} if state is None else {"state": given[1]}), **dict(gru.named_parameters())}
    grads = torch.autograd.grad(loss, list(of.values()))
    return {"output": output, "last": last, **dict(zip(of, grads, strict=True))}


def assert_close(one, other, tolerance=1e-5):
    assert one.keys() == other.keys()
    for name, value in other.items():
        assert one[name].shape == value.shape
        assert (one[name] - value).abs().max() <= tolerance * value.abs().max(), name


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize(
    ("n_layers", "n_units", "n_features", "n_batch", "n_steps"),
    [(1, 32, 8, 64, 30), (2, 26, 5, 32, 20), (3, 7, 1, 5, 11), (1, 1, 1, 1, 1), (2, 64, 18, 1, 60), (1, 33, 3, 130, 2)],
)
def test_forecasts_and_gradients_are_those_of_torch(
    n_layers, n_units, n_features, n_batch, n_steps, with_state, batch_first
):
    ours, torchs = (made(kind, n_features, n_units, n_layers, batch_first=batch_first) for kind in (GRU, TORCH))
    sequence = drawn(*((n_batch, n_steps) if batch_first else (n_steps, n_batch)), n_features)
    state = drawn(n_layers, n_batch, n_units, seed=12) if with_state else None
    assert_close(passed(ours, sequence, state), passed(torchs, sequence, state))


def test_saturated_gates_are_those_of_torch():
    ours, torchs = (made(kind, 4, 16, batch_first=True) for kind in (GRU, TORCH))
    sequence = 1000 * drawn(8, 12, 4)
    with torch.no_grad():
        assert_close({"output": ours(sequence)[0]}, {"output": torchs(sequence)[0]})


def test_dropout_between_layers_draws_what_torch_draws():
    ours, torchs = (made(kind, 4, 16, 3, dropout=0.4, batch_first=True) for kind in (GRU, TORCH))
    sequence = drawn(9, 12, 4)
    in_training = passed(ours, sequence)
    assert_close(in_training, passed(torchs, sequence))
    assert not torch.equal(in_training["output"], passed(ours, sequence, seed=14)["output"])
    ours.eval()
    torchs.eval()
    assert_close(passed(ours, sequence), passed(torchs, sequence))


def test_gradients_are_slopes():
    inputs, state = drawn(5, 3, 4, dtype=torch.float64), drawn(2, 4, seed=3, dtype=torch.float64)
    weights = [drawn(*shape, seed=5 + len(shape), dtype=torch.float64) for shape in ((6, 3), (6, 2), (6,), (6,))]
    assert torch.autograd.gradcheck(Layer.apply, [value.requires_grad_() for value in (inputs, state, *weights)])


def test_weights_are_drawn_named_and_stored_as_torchs():
    ours, torchs = (made(kind, 3, 8, 2) for kind in (GRU, TORCH))
    assert list(ours.state_dict()) == list(torchs.state_dict())
    assert all(torch.equal(one, other) for one, other in zip(ours.parameters(), torchs.parameters(), strict=True))
    sequence = drawn(6, 4, 3)
    for kind, other in ((GRU, TORCH), (TORCH, GRU)):
        giver, taker = made(kind, 3, 8, 2, seed=1), made(other, 3, 8, 2, seed=2)
        taker.load_state_dict(giver.state_dict())
        assert_close({"output": taker(sequence)[0]}, {"output": giver(sequence)[0]})


def test_a_missing_value_is_missing_in_what_it_reaches_and_nowhere_else():
    ours, torchs = (made(kind, 3, 16, 2, batch_first=True) for kind in (GRU, TORCH))
    sequence = drawn(6, 10, 3)
    sequence[2, 4, 1] = torch.nan
    found, expected = passed(ours, sequence), passed(torchs, sequence)
    assert found["output"][2, 4:].isnan().all()
    assert found["output"].isfinite().sum() == 5 * 10 * 16 + 4 * 16
    for name, value in expected.items():
        assert torch.equal(found[name].isnan(), value.isnan()), name


@pytest.mark.parametrize("name", ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"])
def test_a_missing_weight_is_missing_in_all_forecasts(name):
    gru = made(GRU, 3, 4, batch_first=True)
    with torch.no_grad():
        getattr(gru, name).fill_(torch.nan)
    assert gru(drawn(2, 5, 3))[0].isnan().all()


def test_without_gradients_the_forecasts_are_the_same():
    gru, sequence = made(GRU, 3, 16, 2, batch_first=True), drawn(6, 10, 3)
    output, _ = gru(sequence)
    with torch.no_grad():
        without, _ = gru(sequence)
    with torch.inference_mode():
        inferred, _ = gru(sequence)
    assert output.requires_grad
    assert not without.requires_grad
    assert torch.equal(output, without)
    assert torch.equal(output, inferred)


def test_a_kept_graph_gives_its_gradients_twice_and_a_freed_one_is_refused():
    gru = made(GRU, 3, 16, batch_first=True)
    loss = gru(drawn(6, 10, 3))[0].square().sum()
    once, twice = (torch.autograd.grad(loss, list(gru.parameters()), retain_graph=keep) for keep in (True, False))
    assert all(torch.equal(one, other) for one, other in zip(once, twice, strict=True))
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(loss, list(gru.parameters()))


@pytest.mark.parametrize(
    ("options", "sequence"),
    [
        ({"bidirectional": True}, drawn(6, 10, 3)),
        ({"bias": False}, drawn(6, 10, 3)),
        ({}, drawn(10, 3)),
        ({"dtype": torch.float64}, drawn(6, 10, 3, dtype=torch.float64)),
        ({}, torch.nn.utils.rnn.pack_sequence([drawn(4, 3), drawn(2, 3)])),
    ],
    ids=["two directions", "no bias", "one sequence", "float64", "packed"],
)
def test_where_it_is_not_right_torch_computes(options, sequence):
    ours, torchs = (made(kind, 3, 8, batch_first=True, **options) for kind in (GRU, TORCH))
    assert torch.equal(ours(sequence)[1], torchs(sequence)[1])


@pytest.mark.parametrize("shape", [(6, 10, 4), (0, 10, 3)])
def test_strange_shapes_are_answered_as_by_torch(shape):
    answers = []
    for kind in (GRU, TORCH):
        try:
            answers.append(str(made(kind, 3, 8, batch_first=True)(drawn(*shape))[0].shape))
        except (RuntimeError, ValueError) as error:
            answers.append(str(error))
    assert answers[0] == answers[1]


def test_a_first_state_of_another_shape_is_refused():
    with pytest.raises(RuntimeError, match="hidden size"):
        made(GRU, 3, 8, batch_first=True)(drawn(6, 10, 3), drawn(1, 5, 8))


IN_ANOTHER_PROCESS = """
import hashlib, torch
from kallos.architectures.gru import kernel
from kallos.architectures.gru.layer import GRU

torch.set_num_threads(1)
torch.manual_seed(7)
gru = GRU(5, 19, 2, batch_first=True)
found = torch.autograd.grad(gru(torch.randn(37, 14, 5))[0].square().sum(), list(gru.parameters()))
print(
    hashlib.sha256(b"".join(value.numpy().tobytes() for value in found)).hexdigest(),
    *(sum(each.stats.cache_hits.values()) for each in (kernel.forward, kernel.backward)),
)
"""


def elsewhere(**variables):
    """Return the hash of a GRU's gradients in another process, and how often it found each loop compiled."""
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **{name: str(value) for name, value in variables.items()}},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    digest, *hits = done.stdout.split()
    return digest, [int(hit) for hit in hits]


def test_bits_are_the_same_each_time():
    once, again = (passed(made(GRU, 5, 19, 2), drawn(14, 37, 5), drawn(2, 37, 19)) for _ in range(2))
    assert all(torch.equal(value, again[name]) for name, value in once.items())


def test_processes_share_compiled_code_and_have_the_same_bits_without_it(tmp_path):
    folder, file = tmp_path / "folder", tmp_path / "file"
    file.touch()
    compiled, hits = elsewhere(NUMBA_CACHE_DIR=folder)
    assert hits == [0, 0]
    assert elsewhere(NUMBA_CACHE_DIR=folder) == (compiled, [1, 1])
    # No folder can be written below a file, and numba looks at no other one.
    only = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator", "NUMBA_CACHE_DIR": file / "folder"}
    assert elsewhere(**only) == (compiled, [0, 0])


def series(n_rows=120):
    rng = np.random.default_rng(3)
    values = np.sin(np.arange(n_rows)[:, None] / np.array([3, 5, 8])) + 0.1 * rng.normal(size=(n_rows, 3))
    whole = TimeSeries.from_values(values.astype(np.float32))
    return whole[whole.components[:1].tolist()], whole[whole.components[1:].tolist()]


def fitted(model):
    target, covariates = series()
    model.fit(target, past_covariates=covariates, verbose=False)
    return model


def forecast(model):
    target, covariates = series()
    return model.predict(2, target, past_covariates=covariates, verbose=False, show_warnings=False).values()


PARAMS = {"n_rnn_layers": 2, "dropout": 0.2, "hidden_dim": 8, "input_chunk_length": 12, "batch_size": 16}


def test_the_architecture_trains_as_darts_own_and_takes_its_weights(tmp_path):
    ours = create_model("gru", PARAMS, horizon=2, max_epochs=3, widths=Widths(covariates=2))
    of_darts = BlockRNNModel(**{**ours.model_params, "model": "GRU"})
    untrained = create_model("gru", PARAMS, horizon=2, max_epochs=0, widths=Widths(covariates=2))
    fitted(ours), fitted(of_darts), fitted(untrained)
    assert isinstance(ours.model.rnn, GRU)
    assert type(of_darts.model.rnn) is TORCH
    np.testing.assert_allclose(forecast(ours), forecast(of_darts), rtol=1e-4)
    untrained.model.load_state_dict(of_darts.model.state_dict())
    np.testing.assert_allclose(forecast(untrained), forecast(of_darts), rtol=1e-5)
    ours.save(str(tmp_path / "model.pt"))
    with safe_globals([GRUModule]):
        loaded = BlockRNNModel.load(str(tmp_path / "model.pt"))
    np.testing.assert_array_equal(forecast(loaded), forecast(ours))


def test_the_compiler_is_part_of_what_a_compiled_fit_depends_on(monkeypatch):
    def documents():
        return {name: FitSpec.of(small_spec(model_name=name), {}).document for name in ("gru", "lstm", "ridge")}

    here = documents()
    monkeypatch.setattr("kallos.scoring.job.compiler", lambda: "another processor")
    there = documents()
    assert [name for name in here if here[name] != there[name]] == ["gru"]
