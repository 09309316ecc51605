"""Names of metrics, and what each needs."""

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


RMSE = "rmse"


LABELS = {RMSE: "RMSE", "mae": "MAE", "pinball": "pinball loss", "crps": "CRPS"}


# The quantile that is the point forecast.
MEDIAN = 0.5


# These need a likelihood.
OF_QUANTILES = ("pinball", "crps")


def check_metric(name: str) -> str:
    """Return the name of a metric that is known, or of a function that can be imported; raises `UsageError`."""
    if ":" in name:
        custom_metric(name)
    elif name not in LABELS:
        raise UsageError(
            f"metric must be one of {', '.join(LABELS)}, or module:NAME of a function of your own, not {name!r}: "
            f"{did_you_mean(name, LABELS)}"
        )
    return name


def metric_label(name: str) -> str:
    """Return a metric's name for people: `RMSE`, or of a custom one `module:NAME`."""
    return LABELS.get(name, name)


def metric_source(name: str) -> str | None:
    """Return the hash of the module that a custom metric is named by, None for one of Kallos.

    It is that of the text as it was when the module was loaded. Where the function is another module's, that one's text
    is in it, too; what these import is not.
    """
    return custom_metric(name).source_sha256 if ":" in name else None


def metric_of_one_target(name: str) -> str:
    """Return the metric that errors of each target alone are by, of several: a custom one may be of all together."""
    return RMSE if ":" in name else name


@dataclass(frozen=True)
class _LoadedMetric:
    """A custom metric, and the hash of its code, taken when that was loaded: the file may be edited later."""

    function: CustomMetric
    source_sha256: str


@cache
def custom_metric(name: str) -> _LoadedMetric:
    found = load_reference(name, "metric", "a function")
    if not inspect.isfunction(found):
        raise UsageError(
            f"metric must name a function (forecasts, actual) -> float, and {name!r} is {type(found).__name__}"
        )
    files = {inspect.getfile(sys.modules[name.partition(":")[0]]), inspect.getfile(inspect.unwrap(found))}
    text = b"".join(read_loaded(file) for file in sorted(files))
    return _LoadedMetric(cast(CustomMetric, found), hashlib.sha256(text).hexdigest())
