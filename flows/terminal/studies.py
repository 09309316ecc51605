"""Recorded studies on the terminal, in 80 columns."""

from collections.abc import Iterator, Sequence

from rich.align import AlignMethod
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kallos.specs.metrics import metric_label, metric_of, recorded_metric
from kallos.study.catalogue import RecordedStudy, StudySummary
from kallos.study.comparison import StudyComparison
from kallos.study.rescoring import Rescored
from kallos.words import counted, day, flattened, short, shorten, signed

_NONE = ""

# The columns of the list and their alignment.
_LISTED: tuple[tuple[str, AlignMethod], ...] = (
    ("trials", "left"),
    ("best", "right"),
    ("baseline", "right"),
    ("skill", "right"),
    ("last (UTC)", "left"),
)


def show_list(console: Console, studies: Sequence[StudySummary]) -> None:
    """Print two lines for each study: its name, never wrapped so that it can be copied, and its state."""
    rows = [[Text(heading) for heading, _ in _LISTED], *map(_listed, studies)]
    widths = [max(cell.cell_len for cell in column) for column in zip(*rows, strict=True)]
    for study, row in zip((None, *studies), rows, strict=True):
        if study is not None:
            name = Text.assemble((study.name, "bold"), "  ", (_remarks(study), "dim"))
            console.print(name, soft_wrap=True)
        for cell, (_, side), width in zip(row, _LISTED, widths, strict=True):
            cell.align(side, width)
        console.print(Text("  ").join([Text(), *row]), soft_wrap=True)


def _listed(study: StudySummary) -> list[Text]:
    skill = signed(study.skill, study.recorded_metric.skill_is)
    state = ("running", "bold green") if study.is_running else f"{study.last_activity:%Y-%m-%d %H:%M}"
    return [
        Text(_progress(study)),
        _best(study),
        Text.assemble(_value(study.baseline_value), (f" {study.baseline}", "dim")),
        Text(skill, "green" if study.skill is not None and study.skill > 0 else ""),
        Text.assemble(state),
    ]


def show_study(console: Console, study: RecordedStudy) -> None:
    """Print everything that is recorded of a study."""
    summary = study.summary
    console.print(Text(f"{_title(summary)}: {summary.name}", "bold"), soft_wrap=True)
    for line in _facts(study):
        console.print(line)
    if study.best is not None:
        params = ", ".join(f"{name}={short(value)}" for name, value in study.best.params.items())
        console.print(f"best parameters (trial {study.best.number}): {params}")
    if study.best_trials:
        console.print()
        console.print(_best_trials(study))
    console.print()
    console.print(_folds(study))
    console.print()
    console.print(Text("specification", "bold"))
    for name, value in flattened(study.spec):
        if value is not None:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            console.print(f"  {name} = {shown}", soft_wrap=False)


def show_comparison(console: Console, comparison: StudyComparison) -> None:
    """Print studies side by side: whether their values are comparable, the values, and what differs."""
    numbers = [f"[{number}]" for number in range(1, len(comparison.studies) + 1)]
    for sign, study in zip(numbers, comparison.studies, strict=True):
        console.print(f"{sign} {_title(study.summary)}: {study.summary.name}", soft_wrap=True)
    for reason in comparison.why:
        console.print(Text(reason, "yellow"))
    if comparison.comparable:
        console.print("all studies were scored on the same forecasts: their values are comparable")
    else:
        console.print(Text("their values are not comparable", "bold yellow"))
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("")
    for sign in numbers:
        table.add_column(sign, justify="right", overflow="fold")
    rows = [(study.summary, study) for study in comparison.studies]
    table.add_row("best", *(_marked(each, comparison) for each, _ in rows))
    table.add_row("baseline", *(_value(each.baseline_value) for each, _ in rows))
    table.add_row("skill", *(signed(each.skill, each.recorded_metric.skill_is) for each, _ in rows))
    table.add_row("folds won", *(_won(study) for _, study in rows))
    table.add_row("trials", *(_progress(each) for each, _ in rows))
    if comparison.comparable:
        for number, window in enumerate(comparison.studies[0].windows):
            scores = [
                _value(study.best.scores[number].value) if study.best is not None else _NONE
                for study in comparison.studies
            ]
            table.add_row(f"fold {number + 1}, {day(window.validation_start)[:10]}", *scores)
    params = dict.fromkeys(name for _, study in rows if study.best for name in study.best.params)
    for name in params:
        table.add_row(name, *(short(study.best.params.get(name, _NONE)) if study.best else _NONE for _, study in rows))
    for name, values in comparison.settings.items():
        table.add_row(name, *(_NONE if value is None else str(value) for value in values))
    console.print(table)


def show_rescored(console: Console, rescored: Rescored) -> None:
    """Print a study's trials by another metric, the best first, with their rank by the study's own."""
    metric, own = metric_of(rescored.metric), metric_label(rescored.own_metric)
    console.print(
        Text(f"{rescored.study}: {counted(len(rescored.trials), 'complete trial')} by {metric.label}", "bold")
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("trial", metric.label, "skill", own, f"rank by {own}"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("parameters", overflow="fold")
    for each in rescored.trials:
        params = ", ".join(f"{name}={short(value)}" for name, value in each.params.items())
        table.add_row(
            str(each.trial),
            _value(each.value),
            signed(each.skill, metric.skill_is),
            _value(each.own_value),
            str(each.rank),
            Text(params),
        )
    console.print(table)
    if rescored.baseline is not None:
        console.print(f"baseline ({rescored.baseline}): {_value(rescored.baseline_value)}")
    else:
        console.print("no baseline: the study's rows are in no snapshot any more, so the skill is unknown")
    if rescored.missing:
        numbers = shorten([str(number) for number in rescored.missing], 5)
        console.print(
            f"left out, because their forecasts are no longer in the fold cache: {numbers}; run the study again with "
            f"`refresh_cache`, which fits all of its folds, to have them"
        )


def _best(study: StudySummary, style: str = "") -> Text:
    """Return the best value with its metric, or nothing if there is none."""
    if study.best_value is None:
        return Text(_NONE)
    return Text.assemble((_value(study.best_value), style), (f" {metric_label(study.metric)}", "dim"))


def _facts(study: RecordedStudy) -> Iterator[str]:
    summary = study.summary
    if summary.is_running:
        yield "running now"
    else:
        yield f"last activity {summary.last_activity:%Y-%m-%d %H:%M} UTC"
    yield f"trials: {_progress(summary)} ({_states(summary)})"
    data = study.data
    yield f"data: {counted(data.rows, 'row')}, {day(data.start)} to {day(data.end)}, {data.sha256[:12]}"
    if study.warm_start.study:
        yield f"warm start: {counted(len(study.warm_start.params), 'parameter set')} of {study.warm_start.study}"
    if len(summary.objectives) > 1 or summary.recorded_metric.is_maximised:
        metrics = (recorded_metric(name, direction) for name, direction in summary.objectives.items())
        yield f"tuned by {', '.join(metric.label_with_better for metric in metrics)}"
    if summary.best_value is not None:
        skill = signed(summary.skill, summary.recorded_metric.skill_is)
        yield (
            f"best {metric_label(summary.metric)} {_value(summary.best_value)}, baseline ({summary.baseline}) "
            f"{_value(summary.baseline_value)}, skill {skill}, {_won(study)} folds won"
        )


def _best_trials(study: RecordedStudy) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    objectives = study.summary.objectives
    for heading in ("trial", *map(metric_label, objectives), "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("parameters", overflow="fold")
    for trial in study.best_trials:
        params = ", ".join(f"{name}={short(value)}" for name, value in trial.params.items())
        table.add_row(
            str(trial.number),
            *(_value(trial.values[name]) for name in objectives),
            f"{trial.seconds:.1f}",
            Text(params),
        )
    return table


def _folds(study: RecordedStudy) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("fold")
    table.add_column("validation", no_wrap=True)
    for heading in ("best", f"baseline: {study.summary.baseline}", "skill"):
        table.add_column(heading, justify="right", no_wrap=True)
    scores = study.best.scores if study.best else (None,) * len(study.windows)
    for number, (window, score) in enumerate(zip(study.windows, scores, strict=True), start=1):
        baseline, metric = window.baseline_values[study.summary.baseline], study.summary.recorded_metric
        table.add_row(
            str(number),
            f"{day(window.validation_start)[:10]} to {day(window.validation_end)[:10]}",
            _value(score.value) if score else _NONE,
            _value(baseline),
            signed(metric.skill(score.value, baseline) if score else None, metric.skill_is),
        )
    return table


def _title(study: StudySummary) -> str:
    return f"{study.model} on {study.asset}"


def _progress(study: StudySummary) -> str:
    return f"{study.trials.ended} of {study.n_trials}"


def _states(study: StudySummary) -> str:
    counts = {"pruned": study.trials.pruned, "failed": study.trials.failed, "open": study.trials.open}
    return ", ".join(f"{number} {state}" for state, number in counts.items() if number) or "all complete"


def _remarks(study: StudySummary) -> str:
    """Return the states of its trials, and the objectives if there are several."""
    if len(study.objectives) == 1:
        return _states(study)
    return f"{_states(study)}; by {', '.join(map(metric_label, study.objectives))}"


def _marked(study: StudySummary, comparison: StudyComparison) -> Text:
    return _best(study, "bold green" if comparison.best == study.name else "")


def _won(study: RecordedStudy) -> str:
    return _NONE if study.folds_won is None else f"{study.folds_won} of {len(study.windows)}"


def _value(value: float | None) -> str:
    return _NONE if value is None else f"{value:.5g}"
