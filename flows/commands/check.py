"""`kallos-run check`: find all faults in a study's rows."""

import sys
import textwrap
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from flows.flags import SPEC_FLAGS, FeaturesUrl, StudyFile, read_spec, with_flags
from flows.wording import AsJson, Console, in_flags, print_json
from kallos.settings import Settings
from kallos.specs.study import TuneSpec

if TYPE_CHECKING:
    from pandas import DataFrame, Series

    from kallos.checks import Examination, Finding

_STYLES = {"error": "bold red", "warning": "yellow"}


@with_flags(*SPEC_FLAGS)
def check(
    *,
    study: StudyFile = None,
    db_url: FeaturesUrl = None,
    as_json: AsJson = False,
    fix: Annotated[
        str | None,
        Parameter(
            help="Repairs to try, separated by commas: ffill, later-start, drop-constant, drop-duplicates, drop-leaks, "
            "drop-empty, drop-text. Prints the lines for a study file that repair the same, and writes nothing.",
        ),
    ] = None,
    **given: Any,
) -> None:
    """Find all faults in a study's rows before you tune on them.

    Takes the flags of `tune`, and reads the same rows. The exit code is 1 if there are errors; warnings do not change
    it.
    """
    from kallos.checks import repair, with_left_out
    from kallos.errors import UsageError
    from kallos.features.store import FeatureStore

    spec = read_spec(study, given)
    asked = [name.strip() for name in fix.split(",") if name.strip()] if fix else []
    settings = Settings.read()
    if asked and len(spec.data.assets) > 1:
        raise UsageError(f"--fix takes one asset, and the study has {len(spec.data.assets)}: give one as --asset-id")
    with (
        Console(stderr=True).status("reading the features") as status,
        FeatureStore(db_url or settings.features_url, timeout=settings.db_timeout) as store,
    ):
        rows = {
            data.only_asset: store.read(data, lambda n_rows: status.update(f"reading the features: {n_rows:,} rows"))
            for data in spec.data.each()
        }
        left_out = {data.only_asset: store.left_out(data) for data in spec.data.each()}
    if len(rows) > 1:
        is_sound = _check_several(rows, spec, left_out, as_json=as_json)
    else:
        asset = spec.data.only_asset
        repaired, examination = repair(rows[asset], spec, asked, now=datetime.now(UTC))
        examination = with_left_out(examination, left_out[asset], repaired.data)
        is_sound = examination.is_sound
        if as_json:
            print_json(_document(examination, spec, repaired))
        else:
            _show(examination, spec, repaired, is_fixed=bool(asked))
    if not is_sound:
        sys.exit(1)


def _check_several(
    rows: "Mapping[str, DataFrame]", spec: TuneSpec, left_out: "Mapping[str, Series]", *, as_json: bool
) -> bool:
    """Check each asset, and then all together if each is sound; return whether a study can be tuned on them."""
    from kallos.checks import examine_each, examine_together
    from kallos.features.rows import by_asset, tidy
    from kallos.words import counted

    each = examine_each(rows, spec, now=datetime.now(UTC), left_out=left_out)
    is_sound, together = all(examination.is_sound for examination in each.values()), None
    if is_sound:
        features = by_asset({data.only_asset: tidy(rows[data.only_asset], data) for data in spec.data.each()})
        together = examine_together(features, spec)
        is_sound = together.is_sound
    if as_json:
        all_together = None if together is None else _document(together, spec, spec)
        documents = {asset: _document(examination, spec, spec) for asset, examination in each.items()}
        print_json({"is_sound": is_sound, "together": all_together, "assets": documents})
        return is_sound
    console = Console(soft_wrap=True)
    for asset, examination in each.items():
        warnings = counted(len(examination.warnings), "warning")
        verdict = f"sound on its own, with {warnings}" if examination.is_sound else "unsound"
        _print(console, examination, spec, f"{asset} of {spec.data.source}: {verdict}")
    label = spec.data.asset_label
    if together is None:
        console.print(f"unsound: tune refuses {label}")
    else:
        warnings = counted(len(together.warnings), "warning")
        taken = f"sound: tune takes {label} together, with {warnings}"
        _print(console, together, spec, taken if is_sound else f"unsound: tune refuses {label}")
    return is_sound


def _document(examination: "Examination", spec: TuneSpec, repaired: TuneSpec) -> dict[str, Any]:
    from kallos.checks import study_lines

    return {
        "is_sound": examination.is_sound,
        "findings": [finding.document() for finding in examination.findings],
        "summary": examination.summary(),
        "study_lines": study_lines(spec, repaired),
    }


def _show(examination: "Examination", spec: TuneSpec, repaired: TuneSpec, *, is_fixed: bool) -> None:
    from kallos.checks import study_lines
    from kallos.words import counted

    console = Console(soft_wrap=True)
    subject = f"{spec.data.only_asset} of {spec.data.source}"
    if examination.is_sound:
        verdict = f"sound: tune takes {subject}, with {counted(len(examination.warnings), 'warning')}"
    else:
        verdict = f"unsound: tune refuses {subject}, for {counted(len(examination.errors), 'error')}"
    _print(console, examination, repaired, verdict)
    lines = study_lines(spec, repaired)
    if lines:
        console.print("to repair the rows, add these lines to a study file (--study):")
        for line in lines:
            console.print(f"    {line}")
    elif is_fixed:
        console.print("--fix found nothing to repair")


def _print(console: Console, examination: "Examination", spec: TuneSpec, verdict: str) -> None:
    """Print the findings, the verdict, and what a study sees of the rows."""
    from kallos.words import counted

    for severity, findings in (("error", examination.errors), ("warning", examination.warnings)):
        if findings:
            console.print(Text(counted(len(findings), severity), _STYLES[severity]))
        for line in (line for finding in findings for line in _lines_of(finding, console.width)):
            console.print(line)
    console.print(verdict)
    for line in _seen(examination, spec):
        console.print("\n".join(textwrap.wrap(line, console.width, subsequent_indent="    ", break_on_hyphens=False)))


def _lines_of(finding: "Finding", width: int) -> Iterator[str]:
    yield f"  {finding.fault}  {finding.place}".rstrip()
    for text in (f"{finding.message};", finding.remedy):
        yield from textwrap.wrap(
            in_flags(text), max(width, 40), initial_indent="      ", subsequent_indent="      ", break_on_hyphens=False
        )


def _seen(examination: "Examination", spec: TuneSpec) -> Iterator[str]:
    from kallos.words import counted, day

    if examination.first is None or examination.last is None:
        return
    message = f"a study sees {counted(examination.rows, 'row')}, {day(examination.first)} to {day(examination.last)}"
    if examination.columns is None:  # Several assets together.
        yield message
    else:
        frequency = "no regular frequency" if examination.frequency is None else f"frequency {examination.frequency}"
        yield f"{message}, {frequency}"
    if examination.left_out:
        yield f"  {counted(examination.left_out, 'row')} outside the requested dates"
    if examination.holdout_rows and examination.holdout_first is not None:
        yield (
            f"  {counted(examination.holdout_rows, 'row')} after them, from {day(examination.holdout_first)} on, are "
            f"the hold-out, which only 'evaluate' reads"
        )
    if examination.columns is not None:
        groups = ", ".join(f"{len(names)} {group}" for group, names in examination.columns.items() if names)
        yield f"  target {spec.features.target_label}; covariates: {groups or 'none'}"
    for fold in examination.folds:
        yield (
            f"  fold {fold.number}: trains to {day(fold.train_end)}, "
            f"scored {day(fold.validation_start)} to {day(fold.validation_end)}"
        )
