"""`kallos-run check`: everything that is wrong with a study's rows, before anything is fitted."""

import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from flows.flags import SPEC_FLAGS, FeaturesUrl, StudyFile, read_spec, with_flags
from kallos.settings import Settings
from kallos.specs import TuneSpec

if TYPE_CHECKING:
    from pandas import DataFrame

    from kallos.checks import Examination, Finding

_STYLES = {"error": "bold red", "warning": "yellow"}


@with_flags(*SPEC_FLAGS)
def check(
    *,
    study: StudyFile = None,
    db_url: FeaturesUrl = None,
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print findings and summary as JSON, and nothing else.")
    ] = False,
    fix: Annotated[
        str | None,
        Parameter(
            help="Repairs to look through, by commas: ffill, later-start, drop-constant, drop-duplicates, drop-leaks, "
            "drop-empty, drop-text. Nothing is written: the lines that make 'tune' do the same are shown.",
            show_default=False,
        ),
    ] = None,
    **given: Any,
) -> None:
    """Find all that is wrong with the rows of a study, before anything is fitted.

    Takes the specification as 'tune' does, and reads the rows that it would. Exit code 1 if tuning on them would be
    unsound, else 0; warnings are for you to judge.
    """
    from kallos.checks import repair
    from kallos.errors import UsageError
    from kallos.feature_store import FeatureStore

    spec = read_spec(study, given)
    asked = [name.strip() for name in fix.split(",") if name.strip()] if fix else []
    settings = Settings.read()
    if asked and len(spec.data.assets) > 1:
        raise UsageError(f"--fix takes one asset, and the study has {len(spec.data.assets)}: name one as --asset-id")
    with (
        Console(stderr=True).status("reading the features") as status,
        FeatureStore(db_url or settings.features_url, timeout=settings.db_timeout) as store,
    ):
        rows = {
            data.only_asset: store.read(data, lambda n_rows: status.update(f"reading the features: {n_rows:,} rows"))
            for data in spec.data.each()
        }
    specs = [spec.model_copy(update={"data": data}) for data in spec.data.each()]
    checked = [(each, *repair(rows[each.data.only_asset], each, asked, now=datetime.now(UTC))) for each in specs]
    is_sound = all(examination.is_sound for _, _, examination in checked)
    together = _unfit_together(rows, spec) if is_sound else None
    if as_json:
        documents = {each.data.only_asset: _document(found, each, repaired) for each, repaired, found in checked}
        several = {"is_sound": is_sound and together is None, "together": together, "assets": documents}
        document = several if len(specs) > 1 else documents[spec.data.only_asset]
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        for each, repaired, found in checked:
            _show(found, each, repaired, is_fixed=bool(asked))
        if together is not None:
            Console(soft_wrap=True, highlight=False, markup=False).print(f"unsound together: {together}")
    if not is_sound or together is not None:
        sys.exit(1)


def _unfit_together(rows: "Mapping[str, DataFrame]", spec: TuneSpec) -> str | None:
    """Return what keeps assets that are each sound from one model, if anything does."""
    from kallos.errors import DataError
    from kallos.feature_store import by_asset, tidy
    from kallos.study_cut import cut_panel

    if len(rows) == 1:
        return None
    try:
        cut_panel(by_asset({data.only_asset: tidy(rows[data.only_asset], data) for data in spec.data.each()}), spec)
    except DataError as error:
        return str(error)
    return None


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
    from kallos.report import counted

    console = Console(soft_wrap=True, highlight=False, markup=False)
    for severity, findings in (("error", examination.errors), ("warning", examination.warnings)):
        if findings:
            console.print(Text(counted(len(findings), severity), _STYLES[severity]))
        for finding in findings:
            for line in _lines_of(finding, console.width):
                console.print(line)
    errors, warnings = len(examination.errors), len(examination.warnings)
    source, asset = spec.data.source, spec.data.only_asset
    if errors:
        console.print(f"unsound: tune refuses {asset} of {source}, for {counted(errors, 'error')}")
    else:
        console.print(f"sound: tune takes {asset} of {source}, with {counted(warnings, 'warning')}")
    for line in _seen(examination, repaired):
        console.print("\n".join(textwrap.wrap(line, console.width, subsequent_indent="    ", break_on_hyphens=False)))
    lines = study_lines(spec, repaired)
    if lines:
        console.print("repaired by these lines in a study file (--study):")
        for line in lines:
            console.print(f"    {line}")
    elif is_fixed:
        console.print("nothing to repair by --fix")


def _lines_of(finding: "Finding", width: int) -> Iterator[str]:
    yield f"  {finding.fault}  {finding.place}".rstrip()
    for text in (f"{finding.message};", finding.remedy):
        yield from textwrap.wrap(
            text, max(width, 40), initial_indent="      ", subsequent_indent="      ", break_on_hyphens=False
        )


def _seen(examination: "Examination", spec: TuneSpec) -> Iterator[str]:
    from kallos.report import counted

    if examination.first is None or examination.last is None:
        return
    said = f"a study sees {counted(examination.rows, 'row')}, {_day(examination.first)} to {_day(examination.last)}"
    frequency = "no regular frequency" if examination.frequency is None else f"frequency {examination.frequency}"
    yield f"{said}, {frequency}"
    if examination.left_out:
        yield f"  {counted(examination.left_out, 'row')} outside the dates asked for"
    groups = ", ".join(f"{len(names)} {group}" for group, names in (examination.columns or {}).items() if names)
    yield f"  target {spec.features.target_label}; covariates: {groups or 'none'}"
    for fold in examination.folds:
        yield (
            f"  fold {fold.number}: trains to {_day(fold.train_end)}, "
            f"scored {_day(fold.validation_start)} to {_day(fold.validation_end)}"
        )


def _day(stamp: str) -> str:
    return stamp.removesuffix(" 00:00:00")
