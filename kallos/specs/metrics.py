"""The metrics: what each is called, which way is better, and what it compares with the actual values.

`kallos.scoring.metrics` has the arithmetic. Whoever compares two scores goes through the methods of `Metric`, so that
nothing else has to know which way is better.
"""

import hashlib
import inspect
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import FunctionType
from typing import Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from kallos.architectures.references import load_reference, read_loaded
from kallos.errors import UsageError
from kallos.words import SkillIs, did_you_mean

Array = npt.NDArray[np.float64]

CustomMetric = Callable[[Array, Array], float]
Direction = Literal["minimize", "maximize"]
# The target's own unit, or none.
Unit = Literal["own", "none"]
# "variance": the forecast of the target's variance, or its root if the target is a volatility.
Scored = Literal["mean", "median", "variance", "quantiles"]

RMSE, MAE, MASE, QLIKE = "rmse", "mae", "mase", "qlike"
# The level of the point forecast.
MEDIAN = 0.5


@dataclass(frozen=True)
class Metric:
    """A metric: what it is called, which way is better, and what it compares with the actual values.

    `label` is its name for people. `scores` is the part of a forecast that it compares: the one that makes it best on
    average. `loss` is the name of the loss of a single forecast whose mean determines the metric, None if it is no such
    mean. A metric that is no objective can be shown beside others, and nothing is chosen by it. A skill is the share
    of the baseline's score that is saved where a ratio says something, else the difference.
    """

    name: str
    label: str
    scores: Scored
    loss: str | None = None
    direction: Direction = "minimize"
    unit: Unit = "none"
    skill_is: SkillIs = "share"
    is_objective: bool = True

    @property
    def needs_likelihood(self) -> bool:
        """Whether it scores quantiles, which only a study with a likelihood forecasts."""
        return self.scores == "quantiles"

    @property
    def is_maximised(self) -> bool:
        """Whether higher is better."""
        return self.direction == "maximize"

    @property
    def better(self) -> Literal["higher", "lower"]:
        """Which scores are better, for people."""
        return "higher" if self.is_maximised else "lower"

    @property
    def label_with_better(self) -> str:
        """Its name for people, with which scores are better: `RMSE (lower is better)`."""
        return f"{self.label} ({self.better} is better)"

    @property
    def worst(self) -> float:
        """What no score is worse than."""
        return -math.inf if self.is_maximised else math.inf

    def as_loss(self, score: float) -> float:
        """Return a score as a number to sort by: lower is better, and a score that is not a number comes last."""
        if math.isnan(score):
            return math.inf
        return -score if self.is_maximised else score

    def is_better(self, score: float, other: float) -> bool:
        """Return whether the score is better than the other; one that is not a number is better than none."""
        return self.as_loss(score) < self.as_loss(other)

    def best(self, scores: Iterable[float]) -> float:
        """Return the best of the scores."""
        return min(scores, key=self.as_loss)

    def best_of(self, scores: Mapping[str, float]) -> str:
        """Return whose score is the best, the first of equals."""
        return min(scores, key=lambda name: self.as_loss(scores[name]))

    def skill(self, score: float, baseline: float) -> float:
        """Return how much better the score is than the baseline's; above zero is better.

        A share is 1 - score / baseline. Against a baseline without error it is 0 at most, and has no lower bound.
        """
        if score == baseline:
            return 0.0
        if self.skill_is == "difference":
            return score - baseline if self.is_maximised else baseline - score
        return float(1 - score / max(baseline, sys.float_info.min))

    def skill_in_words(self, who: str, whose: str) -> str:
        """Say what the skill is: `the share of the baseline's RMSE that the model saves`."""
        if self.skill_is == "share":
            return f"the share of {whose} {self.label} that {who} saves"
        return f"how much {self.better} the {self.label} of {who} is than {whose}"


def _beside(name: str, label: str, scores: Scored, direction: Direction = "maximize", unit: Unit = "none") -> Metric:
    """Return a metric that is only shown beside others."""
    return Metric(name, label, scores, None, direction, unit, skill_is="difference", is_objective=False)


BUILT_IN = {
    metric.name: metric
    for metric in (
        Metric(RMSE, "RMSE", "mean", "squared error", unit="own"),
        Metric(MAE, "MAE", "median", "absolute error", unit="own"),
        Metric(MASE, "MASE", "median", "scaled error"),
        Metric("smape", "sMAPE", "median", "symmetric percentage error"),
        Metric(QLIKE, "QLIKE", "variance", "QLIKE"),
        Metric("pinball", "pinball loss", "quantiles", "pinball loss", unit="own"),
        Metric("crps", "CRPS", "quantiles", "CRPS", unit="own"),
        Metric("direction", "direction", "median", "wrong sign", "maximize", skill_is="difference"),
        Metric("ic", "IC", "mean", None, "maximize", skill_is="difference"),
        Metric("rank_ic", "rank IC", "mean", None, "maximize", skill_is="difference"),
        _beside("f1_up", "F1 of rises", "median"),
        _beside("hit_rate", "hit rate", "mean"),
        _beside("expectancy", "expectancy", "mean", unit="own"),
        _beside("sharpe", "Sharpe ratio", "mean"),
        _beside("sharpe_proportional", "Sharpe ratio (proportional)", "mean"),
        _beside("turnover", "turnover", "mean", "minimize"),
        _beside("turnover_proportional", "turnover (proportional)", "mean", "minimize"),
    )
}
OBJECTIVES = tuple(name for name, metric in BUILT_IN.items() if metric.is_objective)


def metric_of(name: str) -> Metric:
    """Return the metric of this name; raises `UsageError` if there is none, or its function cannot be imported."""
    if ":" in name:
        return custom_metric(name).metric
    if name not in BUILT_IN:
        raise _unknown(name, BUILT_IN)
    return BUILT_IN[name]


def recorded_metric(name: str, direction: Direction) -> Metric:
    """Return the metric of a record, in which it had this direction, without importing anybody's code."""
    return BUILT_IN.get(name) or _custom_metric(name, direction)


def check_metric(name: str) -> str:
    """Return the name of a metric; raises `UsageError` as `metric_of` does."""
    return metric_of(name).name


def check_objective(name: str) -> str:
    """Return the name of a metric that may be an objective; raises `UsageError` for others, and as `metric_of` does."""
    if ":" not in name and name not in BUILT_IN:
        raise _unknown(name, OBJECTIVES)
    if not metric_of(name).is_objective:
        raise UsageError(f"nothing is chosen by {name!r}, which is only shown beside others: name {_named(OBJECTIVES)}")
    return name


def _unknown(name: str, offered: Iterable[str]) -> UsageError:
    return UsageError(
        f"metric must be a known metric, or module:function of a custom one, not {name!r}: "
        f"{did_you_mean(name, offered)}"
    )


def _named(offered: Iterable[str]) -> str:
    return f"one of {', '.join(offered)}, or module:function of a custom metric"


def metric_label(name: str) -> str:
    """Return a metric's name for people: `RMSE`, or `module:function` for a custom metric."""
    return BUILT_IN[name].label if name in BUILT_IN else name


def metric_source(name: str) -> str | None:
    """Return the hash of a custom metric's code, None for a built-in metric.

    It covers the text, as loaded, of the named module and of the one that defines the function, but not their imports.
    """
    return custom_metric(name).source_sha256 if ":" in name else None


def metric_of_one_target(name: str) -> str:
    """Return the metric for the errors of single targets: RMSE if it is custom, which may need all targets together."""
    return RMSE if ":" in name else name


def metric_of_losses(name: str) -> Metric:
    """Return the metric whose losses tests compare: this one, or RMSE if it is not determined by a mean of losses."""
    metric = metric_of(name)
    return BUILT_IN[RMSE] if metric.loss is None else metric


@dataclass(frozen=True)
class _LoadedMetric:
    """A custom metric, and the hash of its code as loaded, because the file may be edited later."""

    metric: Metric
    function: CustomMetric
    source_sha256: str


@cache
def custom_metric(name: str) -> _LoadedMetric:
    """Return the function that `module:NAME` names, with what its attributes `direction` and `unit` say of it.

    Raises `UsageError` if it cannot be imported, or has another attribute or value.
    """
    found = load_reference(name, "metric", "a function")
    if not inspect.isfunction(found):
        raise UsageError(
            f"metric must name a function (forecasts, actual) -> float, and {name!r} is of type {type(found).__name__}"
        )
    files = {inspect.getfile(sys.modules[name.partition(":")[0]]), inspect.getfile(inspect.unwrap(found))}
    text = b"".join(read_loaded(file) for file in sorted(files))
    return _LoadedMetric(_custom(name, found), cast(CustomMetric, found), hashlib.sha256(text).hexdigest())


def _custom(name: str, function: FunctionType) -> Metric:
    offered = {"direction": get_args(Direction), "unit": get_args(Unit)}
    said = {field: value for field, value in vars(function).items() if not field.startswith("_")}
    for field, value in said.items():
        if field not in offered:
            raise UsageError(
                f"a metric's function may have the attributes {' and '.join(offered)}, and {name} has {field!r}: "
                f"{did_you_mean(field, offered)}"
            )
        if value not in offered[field]:
            raise UsageError(
                f"{field!r} of a metric's function must be {' or '.join(map(repr, offered[field]))}, and that of "
                f"{name} is {value!r}: {did_you_mean(str(value), offered[field])}"
            )
    return _custom_metric(name, said.get("direction", "minimize"), said.get("unit", "own"))


def _custom_metric(name: str, direction: Direction, unit: Unit = "own") -> Metric:
    skill_is: SkillIs = "share" if direction == "minimize" else "difference"
    return Metric(name, name, "median", None, direction, unit, skill_is)
