"""The best-parameters document of a study, which all later stages read."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from kallos.architectures.study_space import as_drawn
from kallos.errors import DataError, explain
from kallos.features.moments import Timestamp
from kallos.planning import DataSummary, FoldWindow
from kallos.scoring.metrics import Scores
from kallos.scoring.score import FoldScore
from kallos.specs.metrics import metric_label
from kallos.specs.study import Choose, TuneSpec, unit
from kallos.storage import Folder, address_of, read_at
from kallos.study.choice import NO_CHOICE, Choice, HonestChoice, Member
from kallos.study.names import BEST_PARAMS, failure_name, failures_folder, latest_name, study_folder
from kallos.study.result import PartScore, TuningResult
from kallos.study.trials import TrialRecord, WarmStart
from kallos.words import compared_to, scrubbed, shorten


class FrontTrial(BaseModel):
    """A trial that no other trial dominates, with its mean over the folds by each metric."""

    model_config = ConfigDict(frozen=True)

    trial: int
    values: Scores
    params: dict[str, Any]

    @classmethod
    def of(cls, trial: TrialRecord) -> Self:
        """Return the entry of a trial."""
        return cls(trial=trial.number, values=trial.values, params=trial.params)


class ScoredWindow(BaseModel):
    """A fold's window in timestamps, inclusive, with the best trial's and the baseline's scores.

    `value` and `baseline_value` are by the study's metric, `values` and `baseline_values` by each; one that is not
    defined is None.
    """

    model_config = ConfigDict(frozen=True)

    train_start: Timestamp
    train_end: Timestamp
    validation_start: Timestamp
    validation_end: Timestamp
    fingerprint: str
    value: FiniteFloat
    baseline_value: FiniteFloat
    values: Scores
    baseline_values: Scores
    by_asset: tuple[FiniteFloat, ...]
    baseline_by_asset: tuple[FiniteFloat, ...]
    by_target: tuple[FiniteFloat, ...]
    n_forecasts: int
    best_epoch: int

    @classmethod
    def of(cls, window: FoldWindow, score: FoldScore, baseline: str) -> Self:
        """Return the window with these errors."""
        return cls(
            **window.model_dump(include={"train_start", "train_end", "validation_start", "validation_end"}),
            baseline_value=window.baseline_values[baseline],
            values=score.values,
            baseline_values=window.baseline_metrics[baseline],
            baseline_by_asset=window.baseline_by_asset[baseline],
            **score.model_dump(exclude={"values", "epochs", "seconds"}),
        )


class BestParams(BaseModel):
    """The document; `create_model` takes its `model_name` and `best_params`.

    `values` and `baseline_metrics` are means over the folds by each metric of the study, of the best trial and of each
    baseline; one that is not defined is None. `front` has the trials that no other one dominates.
    """

    model_config = ConfigDict(frozen=True)

    best_params: dict[str, Any]
    best_value: FiniteFloat
    best_trial: int
    metric: str
    unit: str
    values: Scores
    baseline_metrics: dict[str, Scores]
    front: tuple[FrontTrial, ...]
    folds_won: int
    baseline_value: FiniteFloat
    baseline: str
    baseline_values: dict[str, FiniteFloat]
    model_name: str
    asset_id: str | tuple[str, ...]
    folds: tuple[ScoredWindow, ...] = Field(min_length=1)
    by_asset: tuple[PartScore, ...]
    by_target: tuple[PartScore, ...]
    current_fold: ScoredWindow | None
    current_fold_failure: str | None
    study: str
    n_trials: int
    n_pruned: int
    n_failed: int
    n_pending: int
    choice: Choice
    evidence: HonestChoice
    warm_start: WarmStart
    longest_input: int | None
    holdout_start: Timestamp | None
    holdout_end: Timestamp | None
    seed: int
    data: DataSummary
    space: dict[str, Any]
    spec: TuneSpec
    versions: dict[str, str]

    @classmethod
    def of(cls, result: TuningResult, chosen: HonestChoice = NO_CHOICE) -> Self:
        """Return the document of a result."""
        spec, baseline = result.spec, result.baseline
        scored = zip(result.windows, result.best.scores, strict=True)
        states = [trial.state for trial in result.trials]
        return cls(
            best_params=result.best_params,
            best_value=result.best_value,
            best_trial=result.best.number,
            metric=spec.metric,
            unit=unit(spec),
            values=result.best.values,
            baseline_metrics=result.baseline_metrics,
            front=tuple(FrontTrial.of(trial) for trial in result.trials if trial.number in result.front),
            folds_won=result.folds_won,
            baseline_value=result.baseline_value,
            baseline=baseline,
            baseline_values=result.baseline_values,
            model_name=result.model_name,
            asset_id=spec.data.asset_id,
            folds=tuple(ScoredWindow.of(window, score, baseline) for window, score in scored),
            by_asset=result.by_asset,
            by_target=result.by_target,
            current_fold=None
            if result.current_window is None or result.current_score is None
            else ScoredWindow.of(result.current_window, result.current_score, baseline),
            current_fold_failure=result.current_reason,
            study=result.study_name,
            n_trials=len(result.trials),
            n_pruned=states.count("pruned"),
            n_failed=states.count("failed"),
            n_pending=result.pending,
            choice=chosen.choice(spec.choose, Member(trial=result.best.number, params=result.best.params, weight=1)),
            evidence=chosen,
            warm_start=result.warm_start,
            longest_input=result.longest_input,
            holdout_start=result.holdout_start,
            holdout_end=result.holdout_end,
            seed=spec.seed,
            data=result.data,
            space=spec.search_space.clipped(result.longest_input).document(),
            spec=spec,
            versions=result.versions,
        )

    def choice_by(self, choose: Choose) -> Choice:
        """Return the trials that another way of choosing takes."""
        return self.evidence.choice(choose, Member(trial=self.best_trial, params=self.trial_params, weight=1))

    @property
    def trial_params(self) -> dict[str, Any]:
        """Parameters of the best trial as drawn, including the architecture if the study draws it."""
        return as_drawn(self.spec.model_name, self.model_name, self.best_params)


def read_best_params_file(address: str) -> BestParams:
    """Return the document in a `best_params.json` or a copy of it, by path or fsspec URL.

    Raises `DataError` if it cannot be read, or if this version did not write it.
    """
    content = read_at(address)
    if content is None:
        raise DataError(
            f"a best-parameters file must exist, and {scrubbed(address)} does not: 'kallos-run tune' writes one"
        )
    try:
        return BestParams.model_validate(json.loads(content))
    except ValidationError as error:
        missing = [str(fault["loc"][0]) for fault in error.errors() if fault["type"] == "missing"]
        reason = f"it lacks {shorten(missing, 3)}" if missing else explain(error)
    except (ValueError, RecursionError) as error:
        reason = f"it is not JSON: {error}"
    raise DataError(
        f"a best-parameters file must be written by 'kallos-run tune' of this version, and {scrubbed(address)} is "
        f"not: {reason}"
    )


def write_best_params(best: BestParams, results: str) -> str:
    """Write the document into the study's folder in the results, and return its address.

    Also replaces the latest copy for this model, asset and target, and removes the note of an earlier failure. Raises
    `KallosError` if the results cannot be written.
    """
    text = json.dumps(best.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"
    address = Folder(study_folder(results, best.study)).write(BEST_PARAMS, text)
    Folder(results).write(latest_name(best.spec, BEST_PARAMS), text)
    Folder(failures_folder(results)).remove(failure_name(best.spec))
    return address


def read_best_params(folder: str) -> BestParams | None:
    """Return the document in a study's folder, or None if it is missing or unreadable."""
    return _read(folder, BEST_PARAMS)


def read_latest(spec: TuneSpec, results: str) -> BestParams | None:
    """Return the document of the latest study of this model, asset and target, or None as above."""
    best = _read(results, latest_name(spec, BEST_PARAMS))
    # Disks that ignore case give names that differ only by case the same file.
    return best if best is not None and _subject(best.spec) == _subject(spec) else None


def is_latest(result: TuningResult, results: str) -> bool:
    """Return whether the study is the latest of its model, asset and target."""
    latest = read_latest(result.spec, results)
    return latest is not None and latest.study == result.study_name


def shown_address(result: TuningResult, results: str, name: str) -> str:
    """Return the address to show for a file of the result: its short copy, while that is this study's."""
    if is_latest(result, results):
        return address_of(results, latest_name(result.spec, name))
    return address_of(study_folder(results, result.study_name), name)


def write_failure(name: str, results: str, failure: Mapping[str, Any]) -> str:
    """Write a run's failure as `failures/NAME` into the results, and return its address."""
    return Folder(failures_folder(results)).write(name, json.dumps(failure, indent=2) + "\n")


def _read(folder: str, name: str) -> BestParams | None:
    try:
        return BestParams.model_validate(Folder(folder).read_object(name))
    except ValidationError:
        return None


def _subject(spec: TuneSpec) -> tuple[Any, ...]:
    return spec.model_name, spec.data.assets, spec.features.targets


def since_last_run(result: TuningResult, last: BestParams | None) -> str:
    """Return a sentence that compares the best value with the last run's of the same model, asset and target."""
    if last is None:
        return "There is no result of an earlier run."
    value = last.best_value
    if _measured_by(last.spec, last.folds) != _measured_by(result.spec, result.windows):
        return (
            f"The last run's best, {metric_label(last.metric)} {value:.6g}, is not comparable: it has other folds, "
            f"features, horizon or metric."
        )
    label = result.spec.metric_label
    if value == result.best_value:
        return f"The same as the last run's best, {label} {value:.6g} (trial {last.best_trial})."
    comparison = compared_to(
        result.metric.skill(result.best_value, value), "the last run's best", result.metric.skill_is
    )
    return f"{comparison}, {label} {value:.6g}."


def _measured_by(spec: TuneSpec, windows: Sequence[FoldWindow | ScoredWindow]) -> tuple[Any, ...]:
    """Return what must be equal for two values to be comparable."""
    spans = [(window.validation_start, window.validation_end) for window in windows]
    return spec.features, spec.horizon, spec.metric, spec.levels, spans
