"""The report: a single page with the verdict first, then all its evidence. It needs no network."""

from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from kallos.evaluation.results import HoldoutEvaluation
from kallos.report import pictures, tables
from kallos.report.banner import banner
from kallos.report.columns import FALSE_ALARM, ColumnImportance
from kallos.report.forecasts import BestForecasts
from kallos.report.importance import FEWEST_TRIALS, drawn_trials, importance_of, search_space
from kallos.specs.metrics import metric_of
from kallos.specs.study import study_title
from kallos.storage import Folder
from kallos.study.best_params import is_latest
from kallos.study.choice import NO_CHOICE, HonestChoice
from kallos.study.events import StudyFinished
from kallos.study.lines import picked_by, run_summary
from kallos.study.names import REPORT, latest_name, results_of
from kallos.study.result import TuningResult
from kallos.words import counted, day, percent

# If one of these is the best baseline, little can be forecast.
_LITTLE_TO_KNOW = {"zero": "zero", "mean": "the mean"}


@dataclass(frozen=True)
class Section:
    """A part of the page: sentences, a plot, tables that are shown, and tables that are folded."""

    name: str
    title: str
    words: tuple[str, ...]
    picture: pictures.Picture | None = None
    shown: tuple[tables.Table, ...] = ()
    folded: tuple[tables.Table, ...] = ()


def report_html(
    result: TuningResult,
    *,
    evaluation: HoldoutEvaluation | None = None,
    chosen: HonestChoice = NO_CHOICE,
    forecasts: BestForecasts | None = None,
    no_forecasts: str | None = None,
    columns: ColumnImportance | None = None,
    no_columns: str | None = None,
    run: StudyFinished | None = None,
) -> str:
    """Return the self-contained page, the same to the byte for the same arguments.

    `no_forecasts` says why there are no forecasts, `no_columns` why it is not known which columns matter, and `run`
    describes the run that ended the study.
    """
    spec = result.spec
    sections = [
        *([] if evaluation is None else [_holdout(evaluation)]),
        _folds(result),
        *_objectives(result),
        _history(result),
        *_parameters(result),
        _columns(result, columns, no_columns),
        _forecasts(result, forecasts, no_forecasts),
        _time(result, run),
        _data(result),
    ]
    return _template().render(
        title=study_title(spec),
        subtitle=f"{spec.features.target_label}, {counted(spec.horizon, 'step')} ahead \u00b7 "
        f"{counted(len(result.trials), 'trial')} on {counted(len(result.windows), 'fold')} \u00b7 "
        f"rows to {day(result.data.end)}",
        banner=banner(result, evaluation, chosen),
        sections=sections,
        version=result.versions.get("kallos", ""),
    )


def write_report(result: TuningResult, page: str, folder: str) -> str:
    """Write the page into the study's own folder and return its address.

    If the study is the latest of its model, asset and target, also replace the copy next to the folder. Raises
    `KallosError` if the folder cannot be written.
    """
    results = results_of(folder, result.study_name)
    address = Folder(folder).write(REPORT, page)
    if results is not None and is_latest(result, results):
        Folder(results).write(latest_name(result.spec, REPORT), page)
    return address


def remove_report(result: TuningResult, folder: str) -> None:
    """Remove an outdated page from the study's folder, and the copy next to the folder."""
    results = results_of(folder, result.study_name)
    Folder(folder).remove(REPORT)
    if results is not None:
        Folder(results).remove(latest_name(result.spec, REPORT))


def find_report(folder: str) -> str | None:
    """Return the address of the page in a study's own folder, or None."""
    own = Folder(folder)
    return own.address(REPORT) if REPORT in own.names() else None


def _holdout(evaluation: HoldoutEvaluation) -> Section:
    members = ", ".join(f"{rmse:.6g} ({label})" for label, rmse in evaluation.rmse_by_member.items())
    skill = evaluation.compared_by.skill_in_words("the model", whose="its")
    return Section(
        "holdout",
        "On the hold-out",
        (
            f"Rolling forecasts of {evaluation.target_label}, {day(evaluation.test_start)} to "
            f"{day(evaluation.test_end)}. The baseline is the one that does best on the hold-out itself "
            f"({evaluation.baseline}), so it is the hardest to beat. Each point is the skill over another forecaster, "
            f"{skill}, and the line is the confidence interval. Left of zero, the model is worse.",
            f"Model {evaluation.model_id}; champion: {evaluation.champion_id or 'none'}. RMSE by member "
            f"(trial-seed): {members}.",
        ),
        pictures.comparison_picture(evaluation),
        shown=(tables.score_table(evaluation),),
        folded=(tables.comparison_table(evaluation),),
    )


def _folds(result: TuningResult) -> Section:
    label, lowest = result.spec.metric_label, "highest" if result.metric.is_maximised else "lowest"
    skill = result.metric.skill_in_words("the best trial", whose="the baseline's")
    words = [
        f"Each bar is the skill in a fold, {skill}. Below zero, the baseline is better. Each fold trains only on rows "
        "before its window."
    ]
    if result.current_score is not None:
        words.append("The current window is not complete yet: it is drawn as an outline and left out of the mean.")
    elif result.current_reason is not None:
        words.append(f"The current window could not be scored: {result.current_reason}.")
    if len(result.spec.data.assets) > 1:
        words.append(
            "One model is trained on all assets. Errors are in standard deviations of each asset over its training "
            "rows, averaged over the assets."
        )
    words.append(
        f"The baseline is the one with the {lowest} mean {label} over the folds of those that count, because the study "
        f"names them. HAR and a ridge regression are always shown."
    )
    return Section(
        "folds",
        "Against the baseline, fold by fold",
        tuple(words),
        pictures.fold_picture(result),
        (
            tables.fold_table(result),
            tables.baseline_table(result),
            tables.metric_table(result),
            tables.asset_table(result),
            tables.target_table(result),
        ),
    )


def _objectives(result: TuningResult) -> list[Section]:
    objectives = [metric_of(name) for name in result.spec.objectives]
    if len(objectives) == 1:
        return []
    words = [
        f"The study was tuned by {', '.join(metric.label_with_better for metric in objectives)}. One trial dominates "
        f"another if it is no worse by any of them, and better by one. Trial {result.best.number} was "
        f"{picked_by(result)}. This page calls it the best trial, and compares by {objectives[0].label}."
    ]
    if len(objectives) > 2:
        words.append("The plot shows the first two: a trial that others seem to dominate is better by another one.")
    picture, table = pictures.front_picture(result), tables.front_table(result)
    return [Section("objectives", "All objectives", tuple(words), picture, (table,))]


def _history(result: TuningResult) -> Section:
    states = [trial.state for trial in result.trials]
    words = [
        f"{counted(len(states), 'trial')}: {states.count('complete')} complete, {states.count('pruned')} pruned, "
        f"{states.count('failed')} failed. The {'picked one' if result.is_picked else 'best'} is trial "
        f"{result.best.number}.",
    ]
    if result.pending:
        words.append(f"A budget ended the run: {counted(result.pending, 'more trial')} had started, without a result.")
    if result.warm_start.study:
        sets = counted(len(result.warm_start.params), "parameter set")
        words.append(f"Warm start: the first trials reused the best {sets} of {result.warm_start.study}.")
    return Section(
        "trials",
        "How the search went",
        tuple(words),
        pictures.history_picture(result),
        shown=tuple(table for table in (tables.architecture_table(result),) if table.rows),
        folded=(tables.trial_table(result),),
    )


def _parameters(result: TuningResult) -> list[Section]:
    drawn = drawn_trials(result)
    space, importance = search_space(drawn), importance_of(drawn)
    best = Section("parameters", "The best parameters", (), shown=(tables.params_table(result),))
    if importance is None:
        why = (
            "this version of the architecture has other parameters than these trials"
            if not drawn
            else f"it needs {FEWEST_TRIALS} complete trials with different values"
        )
        mattered = Section("importance", "Which parameters mattered", (f"Not shown: {why}.",))
    else:
        words = [
            f"The share of the variance of the trials' {result.spec.metric_label} that each parameter explains, alone "
            f"and together with others, by fANOVA (Hutter et al., 2014) over "
            f"{counted(importance.trials, 'complete trial')}. It is only a rough guide."
        ]
        if importance.left_out:
            words.append(f"Not drawn in every trial, and therefore left out: {', '.join(importance.left_out)}.")
        mattered = Section(
            "importance",
            "Which parameters mattered",
            tuple(words),
            pictures.importance_picture(importance),
            folded=(tables.importance_table(importance),),
        )
    if not drawn:
        return [best, mattered]
    together = Section(
        "parallel",
        "All parameters at once",
        (
            f"Each line is a trial and runs down through its parameters to its {result.spec.metric_label}, the best on "
            f"the left. Where the blue lines meet, the "
            "search has settled.",
        ),
        pictures.parallel_picture(result, space),
    )
    return [best, mattered, together]


def _columns(result: TuningResult, columns: ColumnImportance | None, why_none: str | None) -> Section:
    name, title = "columns", "Which columns matter"
    why_none = why_none if columns is None else columns.failure
    if columns is None or why_none is not None:
        return Section(name, title, (f"Not shown: {why_none or 'this study has no stored columns'}.",))
    label, shown = result.metric.label, columns.groups[: tables.MOST_GROUPS]
    words = (
        f"Each bar is how much worse the {label} of trial {columns.trial}, the best one, is if a column's values are "
        f"put in another order, in whole blocks of rows, where the forecasts read them: the mean of {columns.repeats} "
        f"orders in each fold, with the same weights. Means and lags belong to their column, and the target is its own "
        f"past.",
        _columns_that_matter(columns),
        "Columns that tell the same share their importance: none of them may seem to matter, since the model reads the "
        "others. What matters to this trial need not matter to another, and need not be a cause.",
    )
    rest = columns.groups[tables.MOST_GROUPS :]
    folded = (tables.column_table(result, columns, rest), tables.member_table(columns))
    return Section(
        name,
        title,
        words,
        pictures.columns_picture(result, columns, shown),
        shown=(tables.column_table(result, columns, shown),),
        folded=tuple(table for table in folded if table.rows),
    )


def _columns_that_matter(columns: ColumnImportance) -> str:
    if columns.confidence is None:
        return "There are too few forecasts for intervals, so no column is shown to matter."
    found = len(columns.mattering)
    verb, lie = (
        ("matters", "its interval, the line, lies") if found == 1 else ("matter", "their intervals, the lines, lie")
    )
    unread = sum(not group.is_read for group in columns.groups)
    beside = f" The trial does not read {counted(unread, 'column')}." if unread else ""
    return (
        f"{found} of {counted(len(columns.groups), 'column')} {verb} (filled bars): {lie} above zero. Each interval is "
        f"Student's over {columns.parts} parts of the windows and has {percent(columns.confidence, 1)} confidence, so "
        f"that the chance that any column is said to matter and does not is at most {FALSE_ALARM:.0%} "
        f"(Bonferroni).{beside}"
    )


def _forecasts(result: TuningResult, forecasts: BestForecasts | None, why_none: str | None) -> Section:
    title = "Forecasts and actual values"
    if forecasts is None:
        return Section("forecasts", title, (f"Not shown: {why_none or 'this study has no stored forecasts'}.",))
    fold = forecasts.last_fold
    recorded = result.best.scores[fold.fold - 1].rmse
    same = (
        "as the study has recorded, to the last bit"
        if recorded == fold.rmse
        else f"and the study has recorded {recorded:.6g}: results differ slightly between kinds of machine"
    )
    assets = result.spec.data.assets
    of_asset = f", for {assets[0]}" if len(assets) > 1 else ""
    every = "from every row" if fold.block == 1 else f"in blocks of {fold.block} rows, each from the row before it"
    return Section(
        "forecasts",
        title,
        (
            f"Forecasts of trial {forecasts.trial} on fold {fold.fold}, the last complete one{of_asset}, made {every}. "
            f"Their RMSE is {fold.rmse:.6g}, {same}.",
            *(
                (f"If little can be forecast, good forecasts stay close to {_LITTLE_TO_KNOW[result.baseline]}.",)
                if result.baseline in _LITTLE_TO_KNOW
                else ()
            ),
        ),
        pictures.forecast_picture(result, forecasts),
        folded=(tables.forecast_table(forecasts),),
    )


def _time(result: TuningResult, run: StudyFinished | None) -> Section:
    fits = sum(len(trial.scores) for trial in result.trials) + (result.current_score is not None)
    seconds = sum(trial.seconds for trial in result.trials) + (
        result.current_score.seconds if result.current_score else 0
    )
    words = [
        f"This result took {counted(fits, 'fold fit')}, {seconds:,.0f} seconds of one core in total. "
        f"Pruning ({result.spec.pruner}) skipped {percent(result.saved, digits=0)} of the folds."
    ]
    if run is not None:
        words.append(f"The run that made this page: {run_summary(run)}.{_other_fits(fits, run.fits)}")
    return Section(
        "time", "Where the time went", tuple(words), pictures.seconds_picture(result), (tables.seconds_table(result),)
    )


def _other_fits(fits: int, fits_now: int) -> str:
    """Return the source of the fits that the run did not do, or the purpose of its extra ones."""
    if fits_now > fits:
        return f" Idle workers also fitted {counted(fits_now - fits, 'fold')} that pruning then made unnecessary."
    return f" {counted(fits - fits_now, 'fold')} came from the cache or the record." if fits_now < fits else ""


def _data(result: TuningResult) -> Section:
    return Section(
        "data",
        "Data and versions",
        ("The same rows, specification and seed give the same study to the bit on the same kind of machine.",),
        shown=(tables.data_table(result),),
        folded=(tables.spec_table(result), tables.version_table(result)),
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
