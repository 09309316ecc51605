"""The steps of a GRU layer through time, forward and backward, compiled by numba.

Arrays are (time, features, batch): the batch lies in the processor's lanes, whatever the number of units, and a step's
arrays in its fastest memory. Weights and gates are in torch's order: reset, update, new.

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

_OPTIONS: dict[str, Any] = {
    # No promise that values are finite, because NaN must stay NaN.
    "fastmath": {"reassoc", "contract", "arcp", "nsz", "afn"},
    # Python's error for a division by zero would keep loops out of the processor's lanes.
    "error_model": "numpy",
}
_Function = Callable[..., Any]
_inlined: Callable[[_Function], _Function] = njit(**_OPTIONS)


def _compiled(function: _Function) -> _Function:
    """Compile a function once for all processes, or in each of them where numba can write no folder."""
    # In the name of numba's file, because machines with different processors may share the folder.
    function.__qualname__ += "_" + hashlib.sha256(compiler().encode()).hexdigest()[:8]
    try:
        compiled: _Function = njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:
        compiled = njit(**_OPTIONS)(function)
    return compiled


# A rational approximation of tanh, right to the last bits of a float32, in operations that the lanes have. Beyond the
# bound it is 1. From Eigen: https://gitlab.com/libeigen/eigen/-/blob/3.4/Eigen/src/Core/MathFunctionsImpl.h
_BOUND = np.float32(7.90531110763549805)
_A1, _A3, _A5 = np.float32(4.89352455891786e-03), np.float32(6.37261928875436e-04), np.float32(1.48572235717979e-05)
_A7, _A9, _A11 = np.float32(5.12229709037114e-08), np.float32(-8.60467152213735e-11), np.float32(2.00018790482477e-13)
_A13 = np.float32(-2.76076847742355e-16)
_B0, _B2 = np.float32(4.89352518554385e-03), np.float32(2.26843463243900e-03)
_B4, _B6 = np.float32(1.18534705686654e-04), np.float32(1.19825839466702e-06)
# Python's own numbers would make a float64 of a float32.
_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)


@_inlined
def _tanh(x: Any) -> Any:
    # Comparisons in this order keep a NaN.
    x = _BOUND if x > _BOUND else x
    x = -_BOUND if x < -_BOUND else x
    y = x * x
    above = x * ((((((_A13 * y + _A11) * y + _A9) * y + _A7) * y + _A5) * y + _A3) * y + _A1)
    return above / (((_B6 * y + _B4) * y + _B2) * y + _B0)


@_inlined
def _sigmoid(x: Any) -> Any:
    return _HALF + _HALF * _tanh(_HALF * x)


@_compiled
def forward(
    inputs: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any, states: Any, gates: Any, parts: Any
) -> None:
    """Fill the states behind the first one, the gates, and the new gate's hidden part, of all steps.

    Shapes: `inputs` (steps, features, batch), `states` (1 + steps, units, batch), `gates` (steps, 3 units, batch) and
    `parts` (steps, units, batch).
    """
    n_steps, n_units, n_batch = parts.shape
    by_input = np.empty((3 * n_units, n_batch), inputs.dtype)
    by_state = np.empty((3 * n_units, n_batch), inputs.dtype)
    for step in range(n_steps):
        before, after, gate, part = states[step], states[step + 1], gates[step], parts[step]
        np.dot(weight_ih, inputs[step], by_input)
        np.dot(weight_hh, before, by_state)
        for unit in range(n_units):
            r, z, n = unit, n_units + unit, 2 * n_units + unit
            bias_r, bias_z = bias_ih[r] + bias_hh[r], bias_ih[z] + bias_hh[z]
            for row in range(n_batch):
                reset = _sigmoid(by_input[r, row] + by_state[r, row] + bias_r)
                update = _sigmoid(by_input[z, row] + by_state[z, row] + bias_z)
                hidden = by_state[n, row] + bias_hh[n]
                new = _tanh(by_input[n, row] + bias_ih[n] + reset * hidden)
                gate[r, row], gate[z, row], gate[n, row], part[unit, row] = reset, update, new, hidden
                after[unit, row] = new + update * (before[unit, row] - new)


@_inlined
def _add(grads: Any, weights: Any, biases: Any, weights_of_step: Any) -> None:
    """Add a step's gradients to those of a product's weights and biases."""
    for place in range(len(weights)):
        for column in range(weights.shape[1]):
            weights[place, column] += weights_of_step[place, column]
        total = _ZERO
        for row in range(grads.shape[1]):
            total += grads[place, row]
        biases[place] += total


@_compiled
def backward(
    slopes: Any,
    inputs: Any,
    weight_ih: Any,
    weight_hh: Any,
    states: Any,
    gates: Any,
    parts: Any,
    grad_inputs: Any,
    grad_weight_ih: Any,
    grad_weight_hh: Any,
    grad_bias_ih: Any,
    grad_bias_hh: Any,
) -> Any:
    """Add to the gradients of weights and biases, fill those of the inputs, and return that of the first state.

    `slopes` (steps, units, batch) is the slope of the loss by each state as an output. Without steps in `grad_inputs`,
    these gradients are left out.
    """
    n_steps, n_units, n_batch = parts.shape
    # By the arguments of the gates: first those of the state's product, then those of the inputs', which differ in the
    # new gate alone.
    grad = np.empty((3 * n_units, n_batch), inputs.dtype)
    grad_new = np.empty((n_units, n_batch), inputs.dtype)
    # By the state after a step, directly and through the gates of the next one.
    direct = np.zeros((n_units, n_batch), inputs.dtype)
    through = np.zeros((n_units, n_batch), inputs.dtype)
    back_ih, back_hh = np.ascontiguousarray(weight_ih.T), np.ascontiguousarray(weight_hh.T)
    of_step_ih, of_step_hh = np.empty_like(grad_weight_ih), np.empty_like(grad_weight_hh)
    for step in range(n_steps - 1, -1, -1):
        before, gate, part, given = states[step], gates[step], parts[step], slopes[step]
        for unit in range(n_units):
            r, z, n = unit, n_units + unit, 2 * n_units + unit
            for row in range(n_batch):
                reset, update, new = gate[r, row], gate[z, row], gate[n, row]
                slope = given[unit, row] + direct[unit, row] + through[unit, row]
                slope_new = slope * (_ONE - update) * (_ONE - new * new)
                grad[r, row] = slope_new * part[unit, row] * reset * (_ONE - reset)
                grad[z, row] = slope * (before[unit, row] - new) * update * (_ONE - update)
                grad[n, row] = slope_new * reset
                grad_new[unit, row] = slope_new
                direct[unit, row] = slope * update
        np.dot(back_hh, grad, through)
        np.dot(grad, before.T, of_step_hh)
        _add(grad, grad_weight_hh, grad_bias_hh, of_step_hh)
        for unit in range(n_units):
            for row in range(n_batch):
                grad[2 * n_units + unit, row] = grad_new[unit, row]
        np.dot(grad, inputs[step].T, of_step_ih)
        _add(grad, grad_weight_ih, grad_bias_ih, of_step_ih)
        if len(grad_inputs):
            np.dot(back_ih, grad, grad_inputs[step])
    return direct + through
