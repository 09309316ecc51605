"""Darts' network of a GRU, with the GRU in compiled loops."""

from typing import Any

from darts.models.forecasting.block_rnn_model import _BlockRNNModule

from kallos.architectures.gru.layer import GRU


class GRUModule(_BlockRNNModule):  # type: ignore[misc]
    """The network that Darts builds for `model="GRU"`, with the same weights under the same names."""

    def __init__(self, name: str = "GRU", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        # Another GRU would draw other weights.
        self.rnn.__class__ = GRU
