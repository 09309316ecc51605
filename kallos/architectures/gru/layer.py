"""torch's GRU, in compiled loops where they are right."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import dropout

from kallos.architectures.gru import kernel


class GRU(torch.nn.GRU):
    """`torch.nn.GRU` with the same weights, random draws and results, in compiled loops for float32 on a CPU."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:  # noqa: A002
        """Return the last layer's states of all steps, and all layers' states of the last step."""
        if not self._is_compiled_for(input):
            return super().forward(input, hx)
        sequence = input.permute(2, 1, 0) if self.batch_first else input.permute(2, 0, 1)
        if hx is None:
            hx = input.new_zeros(self.num_layers, sequence.shape[2], self.hidden_size)
        self.check_forward_args(input, hx, None)
        last = []
        for layer, (weights, state) in enumerate(zip(self.all_weights, hx, strict=True)):
            if layer:
                sequence = _dropped(sequence, self.dropout if self.training else 0)
            sequence = Layer.apply(sequence, state, *weights)
            last.append(sequence[:, -1].t())
        output = sequence.permute(2, 1, 0) if self.batch_first else sequence.permute(1, 2, 0)
        return output, torch.stack(last)

    def _is_compiled_for(self, input: Any) -> bool:  # noqa: A002
        return (
            isinstance(input, Tensor)
            and input.dim() == 3
            and input.device.type == "cpu"
            and input.dtype == self.weight_hh_l0.dtype == torch.float32
            and self.bias
            and not self.bidirectional
            # Where torch must not fuse operations, they are counted.
            and torch.backends.mkldnn.enabled
        )


class Layer(torch.autograd.Function):
    """One layer from inputs (features, steps, batch) and a first state (batch, units) to states (units, steps, batch)."""

    @staticmethod
    def forward(
        ctx: Any, sequence: Tensor, state: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias_ih: Tensor, bias_hh: Tensor
    ) -> Tensor:
        """Return the states of all steps."""
        n_features, n_steps, n_batch = sequence.shape
        n_units = len(state.t())
        inputs = sequence.reshape(n_features, -1)
        gates = (weight_ih @ inputs).view(-1, n_steps, n_batch)
        hidden = gates.new_empty(n_units, n_steps, n_batch)
        states = gates.new_empty(n_units, 1 + n_steps, n_batch)
        states[:, 0] = state.t()
        kernel.forward(*_arrays(gates, weight_hh, bias_ih, bias_hh, hidden, states))
        ctx.save_for_backward(inputs, weight_ih, weight_hh, gates, hidden, states)
        return states[:, 1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of all arguments of `forward`."""
        inputs, weight_ih, weight_hh, gates, hidden, states = ctx.saved_tensors
        n_units, n_steps, n_batch = hidden.shape
        grads = gates.new_empty(4 * n_units, n_steps, n_batch)
        weight = weight_hh.roll(n_units, 0).t().contiguous()
        first = kernel.backward(*_arrays(gates, weight, hidden, states, slopes.contiguous(), grads))
        flat = grads.view(4 * n_units, -1)
        of_hidden, of_input = flat[: 3 * n_units], flat[n_units:]
        before = states.view(n_units, -1)[:, : n_steps * n_batch]
        sums = flat.sum(1)
        return (
            (weight_ih.t() @ of_input).view(-1, n_steps, n_batch) if ctx.needs_input_grad[0] else None,
            torch.from_numpy(first).t(),
            of_input @ inputs.t(),
            (of_hidden @ before.t()).roll(-n_units, 0),
            sums[n_units:],
            sums[: 3 * n_units].roll(-n_units),
        )


def _arrays(*tensors: Tensor) -> tuple[Any, ...]:
    return tuple(tensor.detach().numpy() for tensor in tensors)


def _dropped(sequence: Tensor, share: float) -> Tensor:
    """Return a sequence with the random draws of torch, whose sequences are (steps, batch, features)."""
    if not share:
        return sequence
    n_features, n_steps, n_batch = sequence.shape
    kept = dropout(sequence.new_ones(n_steps, n_batch, n_features), share)
    return sequence * kept.permute(2, 0, 1)
