"""torch's GRU, in compiled loops where they are right."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import dropout

from kallos.architectures.gru import kernel


class GRU(torch.nn.GRU):
    """`torch.nn.GRU` with the same weights, random draws and results, in compiled loops for float32 on a CPU."""

    def forward(self, input: Any, hx: Tensor | None = None) -> Any:
        """Return the last layer's states of all steps, and all layers' states of the last step, as torch does."""
        if not self._is_compiled_for(input):
            return super().forward(input, hx)
        batch_axis = 0 if self.batch_first else 1
        if hx is None:
            hx = input.new_zeros(self.num_layers, input.shape[batch_axis], self.hidden_size)
        self.check_forward_args(input, hx, None)
        # Sequences are (steps, features, batch) from here on.
        sequence = input.movedim(batch_axis, 2)
        last = []
        for layer, (state, weights) in enumerate(zip(hx, self.all_weights, strict=True)):
            if layer and self.training and self.dropout:
                sequence = sequence * self._kept(sequence)
            sequence = Layer.apply(sequence, state.t(), *weights)  # type: ignore[no-untyped-call]
            last.append(sequence[-1].t())
        return sequence.movedim(2, batch_axis), torch.stack(last)

    def _is_compiled_for(self, input: Any) -> bool:
        return (
            isinstance(input, Tensor)
            and input.dim() == 3
            and input.numel() > 0
            and input.device.type == "cpu"
            and input.dtype == self.weight_hh_l0.dtype == torch.float32
            and self.bias
            and not self.bidirectional
            # torch's own switch of fused operations, off where each product is counted.
            and bool(torch.backends.mkldnn.enabled)
        )

    def _kept(self, sequence: Tensor) -> Tensor:
        """Return what dropout multiplies a sequence by, drawn in torch's order: (steps, batch, features)."""
        n_steps, n_features, n_batch = sequence.shape
        return dropout(sequence.new_ones(n_steps, n_batch, n_features), self.dropout).transpose(1, 2)


class Layer(torch.autograd.Function):
    """One layer, from (steps, features, batch) and a first state (units, batch) to all states (steps, units, batch)."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, state: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias_ih: Tensor, bias_hh: Tensor
    ) -> Tensor:
        """Return the states after each step."""
        inputs = _contiguous(inputs)
        n_steps, _, n_batch = inputs.shape
        n_units = len(state)
        states = inputs.new_empty(1 + n_steps, n_units, n_batch)
        states[0] = state
        gates = inputs.new_empty(n_steps, 3 * n_units, n_batch)
        parts = inputs.new_empty(n_steps, n_units, n_batch)
        kernel.forward(*_arrays(inputs, weight_ih, weight_hh, bias_ih, bias_hh, states, gates, parts))
        ctx.save_for_backward(inputs, weight_ih, weight_hh, states, gates, parts)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of all arguments of `forward`, from the slopes of the loss by its states."""
        inputs, weight_ih, weight_hh, *of_steps = ctx.saved_tensors
        grad_inputs = torch.empty_like(inputs) if ctx.needs_input_grad[0] else inputs[:0]
        biases = weight_ih.new_zeros(2, len(weight_ih))
        grads = (torch.zeros_like(weight_ih), torch.zeros_like(weight_hh), biases[0], biases[1])
        state = kernel.backward(
            *_arrays(_contiguous(slopes), inputs, weight_ih, weight_hh, *of_steps, grad_inputs, *grads)
        )
        return grad_inputs if ctx.needs_input_grad[0] else None, torch.from_numpy(state), *grads


def _contiguous(tensor: Tensor) -> Tensor:
    """Return a tensor whose values lie in its order; numpy copies a transposed one twice as fast as torch."""
    return torch.from_numpy(np.ascontiguousarray(tensor.detach().numpy()))


def _arrays(*tensors: Tensor) -> tuple[Any, ...]:
    return tuple(tensor.detach().numpy() for tensor in tensors)
