"""What the compiled GRU takes beside torch's: `python -m benchmarks.gru [PAIRS]`.

One pass forward and backward of both modules in turn, with one thread and the same weights, in PAIRS (200) pairs.
Times are the thread's CPU time, medians, the ratio is the median of the pairs' ratios, and the error is the largest of
the outputs' and gradients', each as a share of torch's largest value.
"""

import statistics
import sys
import time
from collections.abc import Sequence

import torch
from rich.console import Console
from rich.table import Table

from kallos.architectures.gru.layer import GRU
from kallos.scoring.training import quiet_single_thread

PAIRS = 200
WARM = 3
FEATURES = 8
# Batch, steps, units and layers.
CASES = ((64, 30, 32, 1), (32, 50, 32, 1), (32, 50, 64, 2), (64, 30, 26, 2), (128, 60, 64, 1), (1, 30, 32, 1))


def timed(gru: torch.nn.GRU, sequence: torch.Tensor) -> tuple[float, list[torch.Tensor]]:
    """Return the milliseconds of a pass forward and backward, and its outputs and gradients."""
    started = time.thread_time()
    output, _ = gru(sequence)
    grads = torch.autograd.grad(output.square().mean(), list(gru.parameters()))
    return 1000 * (time.thread_time() - started), [output.detach(), *grads]


def error_of(ours: Sequence[torch.Tensor], torchs: Sequence[torch.Tensor]) -> float:
    """Return the largest difference, each tensor's as a share of torch's largest value."""
    return max(float((one - other).abs().max() / other.abs().max()) for one, other in zip(ours, torchs, strict=True))


def measured(case: tuple[int, int, int, int], pairs: int) -> tuple[float, float, float, float]:
    """Return torch's and our milliseconds, torch's over ours, and the error."""
    n_batch, n_steps, n_units, n_layers = case
    torchs = torch.nn.GRU(FEATURES, n_units, n_layers, batch_first=True)
    ours = GRU(FEATURES, n_units, n_layers, batch_first=True)
    ours.load_state_dict(torchs.state_dict())
    sequence = torch.randn(n_batch, n_steps, FEATURES)
    for _ in range(WARM):
        error = error_of(timed(ours, sequence)[1], timed(torchs, sequence)[1])
    times = [(timed(torchs, sequence)[0], timed(ours, sequence)[0]) for _ in range(pairs)]
    slow, fast = (statistics.median(pair[place] for pair in times) for place in (0, 1))
    return slow, fast, statistics.median(torchs / ours for torchs, ours in times), error


def main() -> None:
    """Print a row per size."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    table = Table("batch x steps x units x layers", "torch, ms", "compiled, ms", "torch / compiled", "error")
    torch.manual_seed(7)
    with quiet_single_thread():
        for case in CASES:
            slow, fast, ratio, error = measured(case, pairs)
            sizes = " x ".join(map(str, case))
            table.add_row(sizes, f"{slow:.2f}", f"{fast:.2f}", f"{ratio:.1f}", f"{error:.0e}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
