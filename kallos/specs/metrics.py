"""The metrics' names."""

import hashlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import cast

import numpy as np
import numpy.typing as npt

from kallos.architectures.references import load_reference, read_loaded
from kallos.errors import UsageError
from kallos.words import did_you_mean

Array = npt.NDArray[np.float64]

CustomMetric = Callable[[Array, Array], float]

RMSE, QLIKE = "rmse", "qlike"
LABELS = {RMSE: "RMSE", "mae": "MAE", QLIKE: "QLIKE", "pinball": "pinball loss", "crps": "CRPS"}
# These need a likelihood.
OF_QUANTILES = ("pinball", "crps")
# The level of the point forecast.
MEDIAN = 0.5


def check_metric(name: str) -> str:
    """Return the name of a metric; raises `UsageError` if it is unknown or its function cannot be imported."""
    if ":" in name:
        custom_metric(name)
    elif name not in LABELS:
        raise UsageError(
            f"metric must be one of {', '.join(LABELS)}, or module:function of a custom metric, not {name!r}: "
            f"{did_you_mean(name, LABELS)}"
        )
    return name


def metric_label(name: str) -> str:
    """Return a metric's name for people: `RMSE`, or `module:function` for a custom metric."""
    return LABELS.get(name, name)


def metric_source(name: str) -> str | None:
    """Return the hash of a custom metric's code, None for a built-in metric.

    It covers the text, as loaded, of the named module and of the one that defines the function, but not their imports.
    """
    return custom_metric(name).source_sha256 if ":" in name else None


def metric_of_one_target(name: str) -> str:
    """Return the metric for the errors of single targets: RMSE if it is custom, which may need all targets together."""
    return RMSE if ":" in name else name


@dataclass(frozen=True)
class _LoadedMetric:
    """A custom metric, and the hash of its code as loaded, because the file may be edited later."""

    function: CustomMetric
    source_sha256: str


@cache
def custom_metric(name: str) -> _LoadedMetric:
    found = load_reference(name, "metric", "a function")
    if not inspect.isfunction(found):
        raise UsageError(
            f"metric must name a function (forecasts, actual) -> float, and {name!r} is of type {type(found).__name__}"
        )
    files = {inspect.getfile(sys.modules[name.partition(":")[0]]), inspect.getfile(inspect.unwrap(found))}
    text = b"".join(read_loaded(file) for file in sorted(files))
    return _LoadedMetric(cast(CustomMetric, found), hashlib.sha256(text).hexdigest())
