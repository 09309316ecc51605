"""Another look at a study: its trials by another metric, from the forecasts that are kept."""

from dataclasses import replace
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict

from kallos.cache import FoldCache
from kallos.errors import UsageError
from kallos.planning import best_baseline
from kallos.scoring.metrics import Scores, means_of_defined, only_finite, score_by
from kallos.scoring.score import Scorer
from kallos.specs.metrics import Metric, metric_of
from kallos.specs.study import TuneSpec, parse_tune_spec
from kallos.study.again import folds_again
from kallos.study.catalogue import RecordedStudy
from kallos.study.trials import TrialRecord


class RescoredTrial(BaseModel):
    """A complete trial with its mean over the folds by another metric, and by the study's own as `own_value`.

    `rank` is that by the study's own metric, from 1. A value is None where the metric is not defined.
    """

    model_config = ConfigDict(frozen=True)

    trial: int
    params: dict[str, Any]
    value: float | None
    skill: float | None
    folds: tuple[float | None, ...]
    own_value: float
    rank: int


class Rescored(BaseModel):
    """A study's complete trials by another metric, the best first; `missing` are those whose forecasts are gone.

    `baseline` is the best by this metric of the baselines that count; it is None if the study's rows are gone, too.
    """

    model_config = ConfigDict(frozen=True)

    study: str
    metric: str
    own_metric: str
    baseline: str | None
    baseline_value: float | None
    trials: tuple[RescoredTrial, ...]
    missing: tuple[int, ...]


def rescore(study: RecordedStudy, metric: str, cache: FoldCache, rows: pd.DataFrame | None) -> Rescored:
    """Return all complete trials of a study by another metric, without a fit.

    `rows` are the study's own, which the baselines need; None if they are gone. Raises `UsageError` if there is no such
    metric, or the study forecasts no quantiles and the metric needs them.
    """
    spec, by = parse_tune_spec(study.spec), metric_of(metric)
    if by.needs_likelihood and spec.likelihood is None:
        raise UsageError(f"metric {metric!r} needs quantile forecasts, and {study.summary.name} forecasts points alone")
    baseline, baseline_value = _baseline(study, spec, by, rows)
    # No objective, since nothing is chosen: a score may be infinite or undefined.
    scorer = replace(Scorer.of(spec), objectives=(metric,), shown=())
    trials, missing = [], []
    for rank, trial in enumerate(study.best_trials, start=1):
        folds = _folds(trial, scorer, cache)
        if folds is None:
            missing.append(trial.number)
            continue
        value = only_finite(means_of_defined(folds))[metric]
        is_compared = value is not None and baseline_value is not None
        trials.append(
            RescoredTrial(
                trial=trial.number,
                params=trial.params,
                value=value,
                skill=by.skill(value, baseline_value) if is_compared else None,  # type: ignore[arg-type]
                folds=tuple(only_finite(each)[metric] for each in folds),
                own_value=trial.only_value,
                rank=rank,
            )
        )
    trials.sort(key=lambda each: (by.as_loss(score_by({metric: each.value}, metric)), each.rank))
    return Rescored(
        study=study.summary.name,
        metric=metric,
        own_metric=spec.metric,
        baseline=baseline,
        baseline_value=baseline_value,
        trials=tuple(trials),
        missing=tuple(sorted(missing)),
    )


def _folds(trial: TrialRecord, scorer: Scorer, cache: FoldCache) -> list[Scores] | None:
    """Return a trial's scores on each fold, or None if the forecasts of one are not kept."""
    folds = []
    for score in trial.scores:
        result = cache.read(score.fingerprint)
        if result is None:
            return None
        folds.append(
            means_of_defined([each.values for each in scorer.measured(list(result.forecasts()), result.assets)])
        )
    return folds


def _baseline(
    study: RecordedStudy, spec: TuneSpec, metric: Metric, rows: pd.DataFrame | None
) -> tuple[str | None, float | None]:
    """Return the best baseline by a metric and its mean over the folds, None without the rows."""
    if rows is None:
        return None, None
    scored = spec.model_copy(update={"metrics": (*spec.metrics, metric.name)})
    folds = [planned.window.baseline_metrics for planned in folds_again(rows, study.data, study.windows, scored)]
    means = {name: means_of_defined([fold[name] for fold in folds])[metric.name] for name in folds[0]}
    defined = {name: value for name, value in means.items() if value is not None}
    if not defined:
        return None, None
    best = best_baseline(defined, spec.baselines, metric)
    return best, defined[best]
