"""A study's best-parameters document, written and read back: what was tuned, on which rows, and how it did."""

import json
import posixpath
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from kallos.architectures.study_space import as_drawn
from kallos.baselines.scores import better_by_target
from kallos.errors import DataError, explain, scrubbed, shorten
from kallos.features.moments import Stamp
from kallos.planning import DataSummary, FoldWindow
from kallos.scoring.job import FoldScore
from kallos.scoring.metrics import mean_of_each
from kallos.specs.metrics import RMSE, metric_label
from kallos.specs.study import TuneSpec, unit
from kallos.storage import read_bytes, read_text, remove_text, write_text
from kallos.study.choice import NO_CHOICE, HonestChoice, OneStandardError
from kallos.study.names import BEST_PARAMS, failure_name, failures_folder, latest_name, study_folder
from kallos.study.result import TuningResult
from kallos.words import beside


class ScoredWindow(BaseModel):
    """A fold as the document has it: its window in the data's stamps, all inclusive, and the best trial's score."""

    model_config = ConfigDict(frozen=True)

    train_start: Stamp
    train_end: Stamp
    validation_start: Stamp
    validation_end: Stamp
    rmse: FiniteFloat
    measured: FiniteFloat | None = None
    best_epoch: int

    @property
    def value(self) -> float:
        """The best trial's error by the study's metric."""
        return self.rmse if self.measured is None else self.measured


class BestParams(BaseModel):
    """What later stages read of the document; what else it holds is for people."""

    model_config = ConfigDict(frozen=True)

    model_name: str
    best_params: dict[str, Any]
    best_value: FiniteFloat
    best_trial: int
    folds: tuple[ScoredWindow, ...] = Field(min_length=1)
    study: str
    data: DataSummary
    spec: TuneSpec
    longest_input: int | None = None
    holdout_start: Stamp | None = None
    holdout_end: Stamp | None = None
    versions: dict[str, str]
    one_se: OneStandardError | None = None

    @property
    def trial_params(self) -> dict[str, Any]:
        """Parameters of the best trial as the study has them: with the architecture, where that was drawn."""
        return as_drawn(self.spec.model_name, self.model_name, self.best_params)


def read_best_params_file(address: str) -> BestParams:
    """Return what a study's `best_params.json`, or a copy of it, says, of this machine or by its fsspec URL.

    Raises `DataError` if it cannot be read, or is no such document of this version.
    """
    folder, name = posixpath.split(address)
    content = read_bytes(folder or ".", name)
    if content is None:
        raise DataError(
            f"a best-parameters file must exist, and {scrubbed(address)} does not: 'kallos-run tune' makes one"
        )
    try:
        return BestParams.model_validate(json.loads(content))
    except ValidationError as error:
        missing = [str(fault["loc"][0]) for fault in error.errors() if fault["type"] == "missing"]
        reason = f"it lacks {shorten(missing, 3)}" if missing else explain(error)
    except (ValueError, RecursionError) as error:
        reason = f"it is not JSON: {error}"
    raise DataError(
        f"a best-parameters file must be one that 'kallos-run tune' of this version wrote, and {scrubbed(address)} is "
        f"not: {reason}"
    )


def read_one_se(result: TuningResult, folder: str) -> OneStandardError | None:
    """Return the choice within one standard error that the study's document has, if it lies in its own folder."""
    content = read_best_params(folder) or {}
    try:
        best = BestParams.model_validate(content)
    except ValidationError:
        return None
    return best.one_se if best.study == result.study_name else None


# Fields of the specification by which two values are measured with the same yardstick.
_SCORED_BY = ("features", "horizon", "forecast", "metric", "likelihood", "quantiles")


def best_params_document(result: TuningResult, chosen: HonestChoice = NO_CHOICE) -> dict[str, Any]:
    """Return the content of `best_params.json`; `best_params` is what `create_model` takes."""
    spec = result.spec
    open_fold = (
        None
        if result.open_window is None or result.open_score is None
        else _fold(result.open_window, result.open_score, result.naive)
    )
    return {
        "best_params": result.best_params,
        "best_value": result.best_value,
        "best_trial": result.best.number,
        "metric": spec.metric,
        "unit": unit(spec),
        "naive_value": result.naive_value,
        "naive": result.naive,
        "naive_values": result.naive_values,
        "model_name": result.model_name,
        "asset_id": spec.data.asset_id,
        "folds": [
            _fold(window, score, result.naive) for window, score in zip(result.windows, result.best.scores, strict=True)
        ],
        **({"by_asset": asset_rows(result)} if len(spec.data.assets) > 1 else {}),
        **({"by_target": by_target} if (by_target := target_rows(result)) else {}),
        "open_fold": open_fold,
        "open_fold_failure": result.open_reason,
        "study": result.study_name,
        "n_trials": len(result.trials),
        "n_pruned": sum(trial.state == "pruned" for trial in result.trials),
        "n_failed": sum(trial.state == "failed" for trial in result.trials),
        "n_pending": result.pending,
        "one_se": None if chosen.one_se is None else chosen.one_se.model_dump(mode="json"),
        "deflated": None if chosen.deflation is None else chosen.deflation.model_dump(mode="json"),
        "warm_start": result.warm_start.model_dump(mode="json"),
        "longest_input": result.longest_input,
        "holdout_start": result.holdout_start,
        "holdout_end": result.holdout_end,
        "seed": spec.seed,
        "data": result.data.model_dump(),
        "space": spec.search_space.clipped(result.longest_input).document(),
        "spec": spec.model_dump(mode="json"),
        "versions": result.versions,
    }


def best_params_of(result: TuningResult, chosen: HonestChoice = NO_CHOICE) -> BestParams:
    """Return what later stages read of the document, without its file."""
    return BestParams.model_validate(best_params_document(result, chosen))


def write_best_params(result: TuningResult, results: str, chosen: HonestChoice = NO_CHOICE) -> str:
    """Write the document into the study's own folder among the results, and return its address.

    Its copy takes the place of that of the last study of the same model, asset and target, and a note of an earlier
    failure is removed. Raises `KallosError` if the results cannot be written.
    """
    text = json.dumps(best_params_document(result, chosen), indent=2, allow_nan=False) + "\n"
    address = write_text(study_folder(results, result.study_name), BEST_PARAMS, text)
    write_text(results, latest_name(result.spec, BEST_PARAMS), text)
    remove_text(failures_folder(results), failure_name(result.spec))
    return address


def read_best_params(folder: str) -> dict[str, Any] | None:
    """Return the document of the study whose own folder this is, or None if there is none that can be read."""
    return _read(folder, BEST_PARAMS)


def read_latest(spec: TuneSpec, results: str) -> dict[str, Any] | None:
    """Return the document of the latest study of this model, asset and target, or None as above."""
    document = _read(results, latest_name(spec, BEST_PARAMS))
    # Names that differ by their case alone are one where the disk does not tell them apart.
    return document if document is not None and _subject(document.get("spec")) == _subject(spec.model_dump()) else None


def is_latest(result: TuningResult, results: str) -> bool:
    """Return whether the study is the latest of its model, asset and target."""
    return (read_latest(result.spec, results) or {}).get("study") == result.study_name


def write_failure(name: str, results: str, failure: Mapping[str, Any]) -> str:
    """Write what became of a run as `failures/NAME` among the results, and return its address."""
    return write_text(failures_folder(results), name, json.dumps(failure, indent=2) + "\n")


def _read(folder: str, name: str) -> dict[str, Any] | None:
    try:
        document = json.loads(read_text(folder, name) or "null")
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _subject(spec: Any) -> tuple[Any, ...] | None:
    """Return what a specification is of: model, assets and targets; None of what is none."""
    try:
        names = (spec["data"]["asset_id"], spec["features"]["target"])
        return spec["model_name"], *(name if isinstance(name, str) else tuple(name) for name in names)
    except (KeyError, TypeError):
        return None


def asset_rows(result: TuningResult) -> list[dict[str, Any]]:
    """Return a row per asset, of several: the best trial's error, its mean over the folds, and the naive one's."""
    by_asset = [score.by_asset for score in result.best.scores if score.by_asset is not None]
    naive = [window.naive_by_asset[result.naive] for window in result.windows if window.naive_by_asset is not None]
    return [
        {
            "asset": asset,
            "value": value,
            "naive_value": naive_value,
            "gain": 1 - value / naive_value,
        }
        for asset, value, naive_value in zip(
            result.spec.data.assets if by_asset else (), mean_of_each(by_asset), mean_of_each(naive), strict=True
        )
    ]


def target_rows(result: TuningResult) -> list[dict[str, Any]]:
    """Return a row per target, of several: the best trial's error, its mean over the folds, and its best naive one's.

    There are none where a fold was scored by a version that had no errors by target.
    """
    by_target = [score.by_target for score in result.best.scores if score.by_target is not None]
    by_naive = [window.naive_by_target for window in result.windows if window.naive_by_target is not None]
    if not by_target or not len(by_target) == len(by_naive) == len(result.windows):
        return []
    naive = {name: mean_of_each([errors[name] for errors in by_naive]) for name in by_naive[0]}
    values, rules = mean_of_each(by_target), better_by_target(by_naive)
    best_naive = [naive[rule][place] for place, rule in enumerate(rules)]
    return [
        {
            "target": target,
            "value": value,
            "naive": rule,
            "naive_value": naive_value,
            # A target may stand still in all folds.
            "gain": 1 - value / naive_value if naive_value else None,
        }
        for target, value, rule, naive_value in zip(
            result.spec.features.targets, values, rules, best_naive, strict=True
        )
    ]


def since_last_run(result: TuningResult, last: Mapping[str, Any] | None) -> str:
    """Return in a sentence how the best value stands to the last run's document of the same model, asset and target."""
    if last is None:
        return "There is no result of an earlier run."
    spec, label = result.spec.model_dump(mode="json"), result.spec.metric_label
    try:
        value, number = float(last["best_value"]), last["best_trial"]
        windows = [(fold["validation_start"], fold["validation_end"]) for fold in last["folds"]]
        same = windows == [(each.validation_start, each.validation_end) for each in result.windows]
        same = same and all(last["spec"].get(name) == spec.get(name) for name in _SCORED_BY)
    except (AttributeError, KeyError, TypeError, ValueError):
        return "The result of the last run cannot be read."
    if not same:
        label = metric_label(last.get("metric", RMSE))
        others = "of other folds, features, horizon or metric, and not comparable"
        return f"The last run's best, {label} {value:.6g}, is {others}."
    if value == result.best_value:
        return f"As in the last run: its best is the same, {label} {value:.6g} (trial {number})."
    stands = beside(1 - result.best_value / value, "the last run's best")
    return f"{stands}, {label} {value:.6g}."


def _fold(window: FoldWindow, score: FoldScore, naive: str) -> dict[str, Any]:
    return {
        **window.model_dump(exclude={"naive_rmse", "naive_measured", "naive_by_asset", "naive_by_target"}),
        "rmse": score.rmse,
        "mae": score.mae,
        "n_forecasts": score.n_forecasts,
        "best_epoch": score.best_epoch,
        "naive_rmse": window.naive_rmse[naive],
        **(
            {}
            if window.naive_by_asset is None
            else {"by_asset": score.by_asset, "naive_by_asset": window.naive_by_asset[naive]}
        ),
        **({} if score.by_target is None else {"by_target": score.by_target}),
        **(
            {}
            if window.naive_measured is None
            else {"measured": score.measured, "naive_measured": window.naive_measured[naive]}
        ),
    }
