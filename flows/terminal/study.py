"""A study on the terminal: its progress and its result."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from flows.session import FlowEvent
from flows.terminal.tables import titled
from flows.wording import Console
from kallos.choosing.lines import choosing_lines
from kallos.models.summary import choice_line
from kallos.planning import StudyPlan
from kallos.report.columns import ColumnImportance, columns_line
from kallos.report.rows import architecture_rows, fold_rows, metric_rows
from kallos.specs.metrics import Metric, metric_of, metric_of_one_target
from kallos.specs.study import TuneSpec, metric_with_unit, study_title
from kallos.storage import address_of
from kallos.study import lines
from kallos.study.best_params import BestParams, shown_address
from kallos.study.choice import NO_CHOICE, HonestChoice
from kallos.study.events import FoldScored, StepStarted, StudyFinished, StudyStarted, TrialFinished
from kallos.study.lines import opening, run_summary, scores_in_words, trial_label
from kallos.study.names import BEST_PARAMS, REPORT, latest_name, study_folder
from kallos.study.result import PartScore, TuningResult
from kallos.study.trials import TrialRecord
from kallos.words import day, scrubbed, short, signed


@contextmanager
def shown_progress(console: Console) -> Iterator["ShownStudy"]:
    """Yield a watcher that shows a study's progress on the console."""
    progress = Progress(
        TextColumn("trial {task.fields[trial]}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("folds  {task.fields[best]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with progress:
        yield ShownStudy(console, progress)


class ShownStudy:
    """Moves a progress bar with each fold, or prints a line for each trial if the output is no terminal."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console = console
        self._progress = progress
        self._task = TaskID(0)
        self._started: StudyStarted | None = None
        self.finished: StudyFinished | None = None

    def __call__(self, event: FlowEvent) -> None:
        """Show the event."""
        match event:
            case StudyStarted(plan, recorded, n_trials, _):
                self._started = event
                for line in _headlines(event):
                    self._print(line)
                self._task = self._progress.add_task(
                    "",
                    total=(n_trials - recorded) * len(plan.folds),
                    trial=f"{min(recorded + 1, n_trials)}/{n_trials}",
                    best=_best_against_baseline(None, plan),
                )
            case FoldScored():
                self._progress.advance(self._task)
            case TrialFinished(trial, best) if self._started is not None:
                self._show_trial(trial, best, self._started)
            case StudyFinished():
                self.finished = event
                self._print(run_summary(event))
            case StepStarted(doing):
                self._print(doing)

    def _show_trial(self, trial: TrialRecord, best: TrialRecord | None, started: StudyStarted) -> None:
        plan, n_trials = started.plan, started.n_trials
        self._progress.update(
            self._task,
            # A pruned or failed trial skips folds.
            advance=len(plan.folds) - len(trial.scores),
            trial=f"{min(trial.number + 2, n_trials)}/{n_trials}",
            best=_best_against_baseline(best, plan),
        )
        if not self._console.is_terminal:
            outcome = lines.outcome(trial, plan.spec.objectives, digits=4)
            so_far = f"best {best.value:.4g}  " if best else ""
            self._print(
                f"{trial.number + 1}/{n_trials}  {trial_label(trial)}  {outcome}  {so_far}{trial.seconds:.1f} s"
            )

    def close(self) -> None:
        """Remove the bar."""
        self._progress.stop()

    def _print(self, line: str) -> None:
        self._progress.console.print(line, soft_wrap=True)


def print_page(console: Console, spec: TuneSpec, results: str) -> None:
    """Print the address of the report of the latest study of a model, asset and target."""
    address = address_of(results, latest_name(spec, REPORT))
    console.print(f"report: {address}", soft_wrap=True)


def show_result(
    console: Console,
    result: TuningResult,
    results: str,
    *,
    has_page: bool,
    chosen: HonestChoice = NO_CHOICE,
    columns: ColumnImportance | None = None,
) -> None:
    """Print what a study has found, and where the result and the report are."""
    address = shown_address(result, results, BEST_PARAMS)
    metric, skill_is = metric_with_unit(result.spec), result.metric.skill_is
    title = f"{study_title(result.spec)}: {metric} of the best trial ({result.best.number})"
    table = titled(title)
    for heading in ("fold", "validation"):
        table.add_column(heading, no_wrap=True)
    for heading in ("best", f"baseline: {result.baseline}", "skill"):
        table.add_column(heading, justify="right")
    for row in fold_rows(result):
        table.add_row(
            # In full, "current window" would make the table wider than 80 columns.
            str(row["fold"]).removesuffix(" window"),
            f"{row['validation_start'][:10]} to {row['validation_end'][:10]}",
            f"{row['value']:.6g}",
            f"{row['baseline_value']:.6g}",
            signed(row["skill"], skill_is),
        )
    table.add_section()
    table.add_row(
        "mean", "", f"{result.best_value:.6g}", f"{result.baseline_value:.6g}", signed(result.skill, skill_is)
    )
    console.print(table)
    if result.spec.metrics or len(result.spec.objectives) > 1:
        console.print(_metric_table(result))
    of_target = metric_of(metric_of_one_target(result.spec.metric))
    for part, scores, by in (("asset", result.by_asset, result.metric), ("target", result.by_target, of_target)):
        if len(scores) > 1:
            console.print(_part_table(part, scores, by))
    architectures = architecture_rows(result)
    if architectures:
        console.print(_architecture_table(architectures))
    console.print(lines.verdict(result))
    if result.is_picked:
        console.print(lines.pick_line(result))
    for line in choosing_lines(result, chosen):
        console.print(line)
    params = ", ".join(f"{name}={short(value)}" for name, value in result.best.params.items())
    console.print(f"best parameters: {params}")
    # A model of several assets can be tuned, but not trained yet.
    if chosen != NO_CHOICE and len(result.by_asset) == 1:
        console.print(f"train takes {choice_line(BestParams.of(result, chosen).choice, result.spec.model_name)}")
    if columns is not None:
        console.print(columns_line(columns))
    console.print(f"written to {address}", soft_wrap=True)
    if has_page:
        console.print(f"report: {shown_address(result, results, REPORT)}", soft_wrap=True)
    own = scrubbed(study_folder(results, result.study_name))
    console.print(f"all files of this study: {own}", soft_wrap=True)
    if result.holdout_start is not None and result.holdout_end is not None:
        what_next = "" if len(result.by_asset) > 1 else f"; next: kallos-run train --params-file {address}"
        console.print(
            f"held out: {day(result.holdout_start)} to {day(result.holdout_end)}{what_next}",
            soft_wrap=True,
        )


def _metric_table(result: TuningResult) -> Table:
    """Return a row for each metric: the best trial, the baseline of the verdict, and which scores are better."""
    table = titled("by metric, mean over the folds", "metric", numbers=("best", "baseline", "better"))
    for row in metric_rows(result):
        scores = (_score(row["value"]), _score(row["baselines"][result.baseline]))
        table.add_row(Text(row["label"]), *scores, row["better"])
    return table


def _part_table(part: str, scores: Sequence[PartScore], metric: Metric) -> Table:
    table = titled(f"by {part}, mean over the folds", part, numbers=("best", "baseline", "skill"))
    for each in scores:
        values = (f"{each.value:.6g}", f"{each.baseline_value:.6g}", signed(each.skill, metric.skill_is))
        table.add_row(Text(f"{each.name} (baseline: {each.baseline})"), *values)
    return table


def _architecture_table(rows: list[dict[str, Any]]) -> Table:
    table = titled("by architecture", "architecture", numbers=("trials", "best", "failed"))
    for row in rows:
        value = "" if row["value"] is None else f"{row['value']:.6g}"
        table.add_row(Text(row["architecture"]), str(row["trials"]), value, str(row["failed"]))
    return table


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _headlines(started: StudyStarted) -> Iterator[str]:
    plan = started.plan
    first, last = plan.windows[0], plan.windows[-1]
    yield (
        f"{study_title(plan.spec)}: {plan.data.rows} rows, {len(plan.folds)} folds from "
        f"{day(first.validation_start)} to {day(last.validation_end)}"
    )
    yield from opening(started)
    baseline = scores_in_words(plan.baseline_metrics[plan.baseline], plan.spec.objectives, digits=4)
    yield f"the baseline ({plan.baseline}) has {baseline}"


def _best_against_baseline(best: TrialRecord | None, plan: StudyPlan) -> str:
    baseline = f"baseline {plan.baseline_value:.4g} ({plan.baseline})"
    return f"best {best.value:.4g}  {baseline}" if best else baseline
