"""What is shown and stored of a result: the best-parameters document, markdown, and tables."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kallos.architectures.study_space import ARCHITECTURE
from kallos.events import StudyFinished, StudyStarted
from kallos.gains import beside, signed
from kallos.metrics import RMSE, mean_of_each, metric_label, metric_of_one_target
from kallos.planning import FoldWindow, better_by_target
from kallos.result_folder import address_of, read_text, remove_text, write_text
from kallos.result_names import BEST_PARAMS, failure_name, failures_folder, latest_name, study_folder
from kallos.results import TuningResult
from kallos.scoring import FoldScore
from kallos.selection import NO_CHOICE, HonestChoice
from kallos.specs import DEFAULT_TARGET, TuneSpec
from kallos.trials import TrialRecord

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


def shown_address(result: TuningResult, results: str, name: str) -> str:
    """Return where a file of the study's result is, for showing: its copy under a short name, while it is there."""
    if is_latest(result, results):
        return address_of(results, latest_name(result.spec, name))
    return address_of(study_folder(results, result.study_name), name)


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


def study_title(spec: TuneSpec) -> str:
    """Return what a study is of, as a title: `gru on BTC`, or `gru on BTC (rsi_14, 3 steps ahead)` of other targets."""
    of = [] if spec.features.target == DEFAULT_TARGET else [spec.features.target_label]
    of += [f"{spec.horizon} steps ahead"] if spec.horizon > 1 else []
    return f"{spec.model_label} on {spec.data.asset_label}" + (f" ({', '.join(of)})" if of else "")


def unit(spec: TuneSpec) -> str:
    """Return what errors are counted in: the target's own units, of several targets or assets standard deviations."""
    return "own" if len(spec.features.targets) == len(spec.data.assets) == 1 else "standard deviations"


def metric_with_unit(spec: TuneSpec) -> str:
    """Return the metric's name for people, with the unit where it is not the target's: `RMSE`."""
    return spec.metric_label if unit(spec) == "own" else f"{spec.metric_label} (in {unit(spec)})"


def verdict(result: TuningResult) -> str:
    """Return in one sentence how the best value stands to the naive forecast, and how it was chosen."""
    naive = f"the naive forecast ({result.naive})"
    if result.gain <= 0:
        return f"{beside(result.gain, naive)}: no better than guessing"
    won = sum(
        score.value < window.naive_values[result.naive]
        for window, score in zip(result.windows, result.best.scores, strict=True)
    )
    return (
        f"{beside(result.gain, naive)}, in {won} of {len(result.windows)} folds; "
        f"the best of {counted(len(result.trials), 'trial')}, chosen on these very folds"
    )


def trial_label(trial: TrialRecord) -> str:
    """Return which trial it is, with its architecture where that is drawn: `trial 3 (gru)`."""
    drawn = trial.params.get(ARCHITECTURE)
    return f"trial {trial.number}" if drawn is None else f"trial {trial.number} ({drawn})"


def outcome(trial: TrialRecord, metric: str = RMSE) -> str:
    """Return in a few words how a trial has ended."""
    match trial.state:
        case "complete":
            return f"{metric} {trial.value:.6g}"
        case "pruned":
            return f"pruned behind fold {len(trial.scores)}"
        case _:
            return f"failed: {trial.reason}"


def opening(started: StudyStarted) -> Iterator[str]:
    """Yield in a line or two which study a run carries on, or begins, and what it starts from."""
    name, n_trials = started.plan.study_name, started.n_trials
    if started.recorded:
        yield f"study {name}: {started.recorded} of {counted(n_trials, 'trial')} recorded, and not run again"
    else:
        wanted = counted(started.plan.spec.n_trials, "trial")
        yield f"study {name}: new, {wanted}" + (
            f", the first {n_trials} now" if n_trials < started.plan.spec.n_trials else ""
        )
    if started.again_from is not None:
        yield (
            f"trial {started.again_from} failed with other code or packages: it is tried again, and so are those "
            f"behind it"
        )
    if started.warm_start.study:
        sets = counted(len(started.warm_start.params), "parameter set")
        yield f"warm start: the best {sets} of {started.warm_start.study}"
    elif started.plan.spec.warm_start and not started.recorded:
        yield "cold start: no study of earlier folds is recorded to start from"


def run_summary(finished: StudyFinished) -> str:
    """Return in a sentence what a run took, what pruning spared it, and which budget ended it, if one did."""
    result = finished.result
    took = f"{counted(finished.fits, 'fold')} fitted in this run"
    if finished.spared:
        took += f", {finished.spared} spared by pruning"
    failed = sum(trial.state == "failed" for trial in result.trials)
    if failed:
        took += f"; {failed} of {counted(len(result.trials), 'trial')} failed"
    if finished.stopped is None:
        return took
    numbers = [trial.number for trial in result.trials]
    which = "the first" if numbers == list(range(len(numbers))) else "what has ended,"
    pending = f", {result.pending} more begun and not in it" if result.pending else ""
    return (
        f"{finished.stopped}: {took}; the result is that of {which} {len(numbers)} of "
        f"{counted(result.spec.n_trials, 'trial')}{pending}, and the same command carries on"
    )


def fold_rows(result: TuningResult) -> list[dict[str, Any]]:
    """Return a row per fold, the open step last: its window, the best trial's error, the naive one's, and the gain.

    A gain is, here and wherever one is shown, the share of the other's error that is saved: below zero it is worse.
    """
    shown = [
        (str(number), window, score)
        for number, (window, score) in enumerate(zip(result.windows, result.best.scores, strict=True), start=1)
    ]
    if result.open_window is not None and result.open_score is not None:
        shown.append(("open step", result.open_window, result.open_score))
    return [
        {
            "fold": name,
            "validation_start": day(window.validation_start),
            "validation_end": day(window.validation_end),
            "value": score.value,
            "naive_value": window.naive_values[result.naive],
            "gain": 1 - score.value / window.naive_values[result.naive],
            "epochs": score.best_epoch,
        }
        for name, window, score in shown
    ]


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


def architecture_rows(result: TuningResult) -> list[dict[str, Any]]:
    """Return a row per architecture where several were to choose from: its trials, the best value, and the failed."""
    if not result.trials or ARCHITECTURE not in result.best.params:
        return []
    by_name: dict[str, list[TrialRecord]] = {}
    for trial in result.trials:
        by_name.setdefault(trial.params[ARCHITECTURE], []).append(trial)
    return [
        {
            "architecture": name,
            "trials": len(trials),
            "value": min((trial.value for trial in trials if trial.value is not None), default=None),
            "failed": sum(trial.state == "failed" for trial in trials),
        }
        for name, trials in sorted(by_name.items())
    ]


def trial_rows(result: TuningResult) -> list[dict[str, Any]]:
    """Return a row per trial: number, state, value, gain, seconds, and the parameters that any trial has."""
    names = dict.fromkeys(name for trial in result.trials for name in trial.params)
    return [
        {
            "trial": trial.number,
            "state": trial.state,
            result.spec.metric: trial.value,
            "gain over naive": None if trial.value is None else round(1 - trial.value / result.naive_value, 4),
            "seconds": round(trial.seconds, 1),
            **{name: trial.params.get(name) for name in names},
            "reason": trial.reason,
        }
        for trial in result.trials
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


def best_params_markdown(result: TuningResult, last: Mapping[str, Any] | None = None, page: str | None = None) -> str:
    """Return the result as markdown: verdict, the last run's best, parameters, the folds, and the report's address."""
    spec, data, label = result.spec, result.data, metric_with_unit(result.spec)
    params = "\n".join(f"| {name} | {short(value)} |" for name, value in result.best.params.items())
    folds = "\n".join(
        f"| {row['fold']} | {row['validation_start']} to {row['validation_end']} | {row['value']:.6g} "
        f"| {row['naive_value']:.6g} | {signed(row['gain'])} |"
        for row in fold_rows(result)
    )
    naive = ", ".join(f"{name} {value:.6g}" for name, value in result.naive_values.items())
    whole = "" if page is None else f"{_link(page)}\n\n"
    parts = _assets_markdown(result) + _targets_markdown(result)
    return f"""# {study_title(spec)}

**{label} {result.best_value:.6g}** (mean over {counted(len(result.windows), "fold")}), {verdict(result)}.

{since_last_run(result, last)}

{whole}Naive forecasts: {naive}. Best is trial {result.best.number}, of {counted(len(result.trials), "trial")}.

| parameter | best |
| --- | --- |
{params}

| fold | validation | {spec.metric_label} | naive ({result.naive}) | gain |
| --- | --- | --- | --- | --- |
{folds}

{parts}Target `{spec.features.target_label}`, {spec.horizon} ahead; {data.rows} rows,
{day(data.start)} to {day(data.end)} (`{data.sha256[:12]}`); seed {spec.seed}.
"""


def _assets_markdown(result: TuningResult) -> str:
    rows = "\n".join(
        f"| {row['asset']} | {row['value']:.6g} | {row['naive_value']:.6g} | {signed(row['gain'])} |"
        for row in asset_rows(result)
    )
    if not rows:
        return ""
    label = result.spec.metric_label
    return f"| asset | {label} | {result.naive} | gain |\n| --- | --- | --- | --- |\n{rows}\n\n"


def _targets_markdown(result: TuningResult) -> str:
    rows = "\n".join(
        f"| {row['target']} | {row['value']:.6g} | {row['naive_value']:.6g} ({row['naive']}) | {signed(row['gain'])} |"
        for row in target_rows(result)
    )
    if not rows:
        return ""
    label = metric_label(metric_of_one_target(result.spec.metric))
    return f"| target | {label} | its best naive | gain |\n| --- | --- | --- | --- |\n{rows}\n\n"


def _link(page: str) -> str:
    """Return a link to the report; one of this machine opens where it lies, elsewhere its path says where that is."""
    address = page if "://" in page else Path(page).expanduser().absolute().as_uri()
    return f"[The whole report]({address}): `{page}`"


def counted(number: int, noun: str) -> str:
    """Return a number of things in words."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def short(value: object) -> str:
    """Return a parameter for people: of a number as many digits as tell it from the next."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def day(moment: str | int) -> str:
    """Return a stamp for people: a date alone where it is midnight."""
    return str(moment).removesuffix("T00:00:00").replace("T", " ")


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
