"""The steps of a GRU layer through time, forward and backward, compiled by numba.

Arrays are (features, time, batch): the batch lies in the processor's lanes, whatever the number of hidden units, and
all steps together are one matrix for the products that do not depend on the order of time. Gates are in torch's order:
reset, update, new.

    r = sigmoid(input_r + hidden_r)    z = sigmoid(input_z + hidden_z)    n = tanh(input_n + r * hidden_n)
    state = n + z * (state before - n)

Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder".
"""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from kallos.architectures.gru.compiler import compiler

# No promise that values are finite, because NaN must stay NaN.
_FAST = {"reassoc", "contract", "arcp", "nsz", "afn"}


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function, or take it from numba's folder; where none can be written, each process compiles it."""
    # Part of the file's name, so that machines that share a folder do not write over each other's code.
    function.__qualname__ += f"_{hashlib.sha256(compiler().encode()).hexdigest()[:8]}"
    # Python's check for a division by zero would keep loops out of the lanes.
    options = {"fastmath": _FAST, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:
        return njit(**options)(function)


# A rational approximation of tanh, to the last bits of a float32, in operations that work in lanes, as Eigen has it:
# https://gitlab.com/libeigen/eigen/-/blob/3.4/Eigen/src/Core/MathFunctionsImpl.h. Beyond the bound it is 1.
_BOUND = np.float32(7.90531110763549805)
_A1, _A3, _A5, _A7 = map(np.float32, (4.89352455891786e-03, 6.37261928875436e-04, 1.48572235717979e-05, 5.12229709037114e-08))
_A9, _A11, _A13 = map(np.float32, (-8.60467152213735e-11, 2.00018790482477e-13, -2.76076847742355e-16))
_B0, _B2, _B4, _B6 = map(np.float32, (4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06))
# Numbers without a type would make a float64 of a float32.
_HALF, _ONE = np.float32(0.5), np.float32(1)


@_compiled
def _tanh(x: Any) -> Any:
    # In this order a NaN passes both comparisons.
    x = _BOUND if x > _BOUND else x
    x = -_BOUND if x < -_BOUND else x
    y = x * x
    above = ((((((_A13 * y + _A11) * y + _A9) * y + _A7) * y + _A5) * y + _A3) * y + _A1) * x
    return above / (((_B6 * y + _B4) * y + _B2) * y + _B0)


@_compiled
def _sigmoid(x: Any) -> Any:
    return _HALF + _HALF * _tanh(_HALF * x)


@_compiled
def forward(gates: Any, weight: Any, input_bias: Any, hidden_bias: Any, hidden: Any, states: Any) -> None:
    """Fill the gates, the new gate's hidden part and the states of all steps.

    `gates` (3 units, steps, batch) holds the product of weights and inputs, and then the gates' values; `weight` is
    (3 units, units), `hidden` (units, steps, batch), and `states` (units, 1 + steps, batch), with the first one given.
    """
    n_units, n_steps, n_batch = hidden.shape
    product = np.empty((3 * n_units, n_batch), gates.dtype)
    state = states[:, 0].copy()
    for step in range(n_steps):
        np.dot(weight, state, product)
        for unit in range(n_units):
            r, z, n = unit, n_units + unit, 2 * n_units + unit
            bias_r = input_bias[r] + hidden_bias[r]
            bias_z = input_bias[z] + hidden_bias[z]
            for row in range(n_batch):
                reset = _sigmoid(gates[r, step, row] + product[r, row] + bias_r)
                update = _sigmoid(gates[z, step, row] + product[z, row] + bias_z)
                part = product[n, row] + hidden_bias[n]
                new = _tanh(gates[n, step, row] + input_bias[n] + reset * part)
                after = new + update * (state[unit, row] - new)
                gates[r, step, row], gates[z, step, row], gates[n, step, row] = reset, update, new
                hidden[unit, step, row] = part
                states[unit, step + 1, row] = after
                state[unit, row] = after


@_compiled
def backward(gates: Any, weight: Any, hidden: Any, states: Any, slopes: Any, grads: Any) -> Any:
    """Fill the gradients of the gates' arguments from the slopes of the loss by each state, and return that of the first.

    `slopes` is (units, steps, batch). `grads` (4 units, steps, batch) gets the gradients of the new gate's hidden part,
    and of the reset, update and new gates' arguments: the first three are those of the hidden product, the last three
    those of the input's. `weight` (units, 3 units) is transposed, and in the former order: new, reset, update.
    """
    n_units, n_steps, n_batch = hidden.shape
    grad = np.empty((3 * n_units, n_batch), gates.dtype)
    product = np.zeros((n_units, n_batch), gates.dtype)
    direct = np.zeros((n_units, n_batch), gates.dtype)
    for step in range(n_steps - 1, -1, -1):
        for unit in range(n_units):
            r, z, n = unit, n_units + unit, 2 * n_units + unit
            for row in range(n_batch):
                reset, update, new = gates[r, step, row], gates[z, step, row], gates[n, step, row]
                slope = slopes[unit, step, row] + direct[unit, row] + product[unit, row]
                by_new = slope * (_ONE - update) * (_ONE - new * new)
                by_update = slope * (states[unit, step, row] - new) * update * (_ONE - update)
                by_reset = by_new * hidden[unit, step, row] * reset * (_ONE - reset)
                by_hidden = by_new * reset
                direct[unit, row] = slope * update
                grad[r, row], grad[z, row], grad[n, row] = by_hidden, by_reset, by_update
                grads[r, step, row], grads[z, step, row] = by_hidden, by_reset
                grads[n, step, row], grads[n + n_units, step, row] = by_update, by_new
        np.dot(weight, grad, product)
    return direct + product
