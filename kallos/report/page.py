"""The report: one page that says what to do first, and shows all that it rests on. It needs no network."""

from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from kallos.evaluation.results import HoldoutEvaluation
from kallos.report.banner import banner
from kallos.report.forecasts import BestForecasts
from kallos.report.importance import FEWEST_TRIALS, drawn_trials, importance_of, search_space
from kallos.report.pictures import (
    Picture,
    comparison_picture,
    fold_picture,
    forecast_picture,
    history_picture,
    importance_picture,
    parallel_picture,
    seconds_picture,
)
from kallos.report.tables import (
    Table,
    architecture_table,
    asset_table,
    comparison_table,
    data_table,
    fold_table,
    forecast_table,
    importance_table,
    params_table,
    score_table,
    seconds_table,
    spec_table,
    target_table,
    trial_table,
    version_table,
)
from kallos.specs.study import study_title
from kallos.storage import Folder
from kallos.study.best_params import is_latest
from kallos.study.choice import Deflation, OneStandardError
from kallos.study.events import StudyFinished
from kallos.study.lines import run_summary
from kallos.study.names import REPORT, latest_name, results_of
from kallos.study.result import TuningResult
from kallos.words import counted, day, percent

# Of what nobody can forecast, the best naive forecast is one of these.
_LITTLE_TO_KNOW = {"zero": "zero", "mean": "the mean"}


@dataclass(frozen=True)
class Section:
    """A part of the page: words, a picture, tables that are shown, and tables that are folded away."""

    name: str
    title: str
    words: tuple[str, ...]
    picture: Picture | None = None
    shown: tuple[Table, ...] = ()
    folded: tuple[Table, ...] = ()


def report_html(
    result: TuningResult,
    *,
    evaluation: HoldoutEvaluation | None = None,
    one_se: OneStandardError | None = None,
    deflation: Deflation | None = None,
    forecasts: BestForecasts | None = None,
    no_forecasts: str | None = None,
    run: StudyFinished | None = None,
) -> str:
    """Return the page, whole in itself, and the same to the byte for the same arguments.

    `no_forecasts` says why there are none, and `run` what the run that ended the study has done.
    """
    spec = result.spec
    sections = [
        *([] if evaluation is None else [_holdout(evaluation)]),
        _folds(result),
        _history(result),
        *_parameters(result),
        _forecasts(result, forecasts, no_forecasts),
        _time(result, run),
        _data(result),
    ]
    return _template().render(
        title=study_title(spec),
        subtitle=f"{spec.features.target_label}, {counted(spec.horizon, 'step')} ahead \u00b7 "
        f"{counted(len(result.trials), 'trial')} on {counted(len(result.windows), 'fold')} \u00b7 "
        f"rows to {day(result.data.end)}",
        banner=banner(result, evaluation, one_se, deflation),
        sections=sections,
        version=result.versions.get("kallos", ""),
    )


def write_report(result: TuningResult, page: str, folder: str) -> str:
    """Write the page into the study's own folder, and return its address.

    Where the study is the latest of its model, asset and target, so is the copy of its page beside the folder. Raises
    `KallosError` if the folder cannot be written.
    """
    results = results_of(folder, result.study_name)
    address = Folder(folder).write(REPORT, page)
    if results is not None and is_latest(result, results):
        Folder(results).write(latest_name(result.spec, REPORT), page)
    return address


def remove_report(result: TuningResult, folder: str) -> None:
    """Remove an earlier page from the study's folder, and the copy of the latest one's beside it.

    None must lie beside a result that it does not show.
    """
    results = results_of(folder, result.study_name)
    Folder(folder).remove(REPORT)
    if results is not None:
        Folder(results).remove(latest_name(result.spec, REPORT))


def find_report(folder: str) -> str | None:
    """Return the address of the page in a study's own folder, or None if there is none."""
    own = Folder(folder)
    return own.address(REPORT) if REPORT in own.names() else None


def _holdout(evaluation: HoldoutEvaluation) -> Section:
    seeds = ", ".join(f"{seed} {rmse:.6g}" for seed, rmse in evaluation.rmse_by_seed.items())
    return Section(
        "holdout",
        "On the hold-out",
        (
            f"Rolling forecasts of {evaluation.target_label}, {day(evaluation.test_start)} to "
            f"{day(evaluation.test_end)}. The naive forecast is the better one on the hold-out itself "
            f"({evaluation.naive}), which is the harder one to beat. A point is the share of the other's "
            f"{evaluation.score} that the model saves, the line its interval; left of zero the model is worse.",
            f"Model {evaluation.model_id}, champion: {evaluation.champion_id or 'none'}. RMSE by seed: {seeds}.",
        ),
        comparison_picture(evaluation),
        shown=(score_table(evaluation),),
        folded=(comparison_table(evaluation),),
    )


def _folds(result: TuningResult) -> Section:
    label = result.spec.metric_label
    words = [
        f"Each bar is the share of naive's {label} that the best trial saves in a fold; below zero, naive is better. "
        "Every fold is trained on the rows before it alone."
    ]
    if result.current_score is not None:
        words.append("The current window is not over yet: it is shown as an outline, and is not in the mean.")
    elif result.current_reason is not None:
        words.append(f"The current window could not be scored: {result.current_reason}.")
    if len(result.spec.data.assets) > 1:
        words.append(
            "One model has learnt from all assets. Errors are in each asset's own standard deviations over the rows "
            "that train, and their mean over the assets."
        )
    naive = ", ".join(f"{name} {value:.6g}" for name, value in result.naive_values.items())
    words.append(f"Naive forecasts, mean {label} over the folds: {naive}.")
    return Section(
        "folds",
        "Against naive, fold by fold",
        tuple(words),
        fold_picture(result),
        (
            fold_table(result),
            *(table for table in (asset_table(result), target_table(result)) if table.rows),
        ),
    )


def _history(result: TuningResult) -> Section:
    states = [trial.state for trial in result.trials]
    words = [
        f"{counted(len(states), 'trial')}: {states.count('complete')} complete, {states.count('pruned')} pruned, "
        f"{states.count('failed')} failed. The best is trial {result.best.number}.",
    ]
    if result.pending:
        words.append(f"A budget ended the run: {result.pending} more had begun, and are not in this result.")
    if result.warm_start.study:
        sets = counted(len(result.warm_start.params), "parameter set")
        words.append(f"The first trials took the best {sets} of {result.warm_start.study}.")
    return Section(
        "trials",
        "How the search went",
        tuple(words),
        history_picture(result),
        shown=tuple(table for table in (architecture_table(result),) if table.rows),
        folded=(trial_table(result),),
    )


def _parameters(result: TuningResult) -> list[Section]:
    drawn = drawn_trials(result)
    space, importance = search_space(drawn), importance_of(drawn)
    best = Section("parameters", "The best parameters", (), shown=(params_table(result),))
    if importance is None:
        why = (
            "the architecture of this version draws other parameters than these trials have"
            if not drawn
            else f"that takes {FEWEST_TRIALS} complete trials with values that differ"
        )
        mattered = Section("importance", "Which parameters mattered", (f"Not shown: {why}.",))
    else:
        words = [
            f"Share of the variance of the values that each parameter explains by itself and with others, by fANOVA "
            f"(Hutter et al., 2014) over {counted(importance.trials, 'complete trial')}: a rough guide, no more."
        ]
        if importance.left_out:
            words.append(f"Not drawn in every trial, and so left out: {', '.join(importance.left_out)}.")
        mattered = Section(
            "importance",
            "Which parameters mattered",
            tuple(words),
            importance_picture(importance),
            folded=(importance_table(importance),),
        )
    if not drawn:
        return [best, mattered]
    together = Section(
        "parallel",
        "All parameters at once",
        (
            "Each line is a trial, from its parameters down to its value. Where the blue ones meet, the search has "
            "settled.",
        ),
        parallel_picture(result, space),
    )
    return [best, mattered, together]


def _forecasts(result: TuningResult, forecasts: BestForecasts | None, why_none: str | None) -> Section:
    title = "Forecasts and what came"
    if forecasts is None:
        return Section("forecasts", title, (f"Not shown: {why_none or 'no forecasts were kept with this study'}.",))
    fold = forecasts.last_fold
    recorded = result.best.scores[fold.fold - 1].rmse
    same = (
        "as the study has recorded, to the last bit"
        if recorded == fold.rmse
        else f"where the study has recorded {recorded:.6g}: on another kind of machine, bits differ"
    )
    assets = result.spec.data.assets
    of_asset = f", for {assets[0]}" if len(assets) > 1 else ""
    every = "from every row" if fold.block == 1 else f"in blocks of {fold.block} rows, each from the row before it"
    return Section(
        "forecasts",
        title,
        (
            f"Trial {forecasts.trial} on fold {fold.fold}, the last complete one{of_asset}, forecast {every}. Fitted "
            f"again for this picture: RMSE {fold.rmse:.6g}, {same}.",
            *(
                (f"Where there is little to know, good forecasts lie close to {_LITTLE_TO_KNOW[result.naive]}.",)
                if result.naive in _LITTLE_TO_KNOW
                else ()
            ),
        ),
        forecast_picture(result, forecasts),
        folded=(forecast_table(forecasts),),
    )


def _time(result: TuningResult, run: StudyFinished | None) -> Section:
    fits = sum(len(trial.scores) for trial in result.trials) + (result.current_score is not None)
    seconds = sum(trial.seconds for trial in result.trials) + (
        result.current_score.seconds if result.current_score else 0
    )
    words = [
        f"This result is made of {counted(fits, 'fold fit')}: {seconds:,.0f} seconds of one core, on whichever machine "
        f"they ran. Pruning ({result.spec.pruner}) left out {percent(result.saved, digits=0)} of the folds."
    ]
    if run is not None:
        words.append(f"The run that made this page: {run_summary(run)}.{_beside(fits, run.fits)}")
    return Section("time", "Where the time went", tuple(words), seconds_picture(result), (seconds_table(result),))


def _beside(fits: int, fits_now: int) -> str:
    """Return in a sentence where the fits came from that the run did not do, or what it did beyond them."""
    if fits_now > fits:
        return f" Idle workers fitted {fits_now - fits} ahead that pruning then made needless."
    return f" {counted(fits - fits_now, 'fold')} came from the cache or the record." if fits_now < fits else ""


def _data(result: TuningResult) -> Section:
    return Section(
        "data",
        "Data and versions",
        ("The same rows, specification and seed give the same study to the bit, on the same kind of machine.",),
        shown=(data_table(result),),
        folded=(spec_table(result), version_table(result)),
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("kallos.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")
