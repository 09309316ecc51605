"""An audit on the terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.wording import in_flags
from kallos.audit import STAGES, AuditReport
from kallos.audit.verdicts import OUTCOMES, AuditVerdict, Outcome
from kallos.specs.study import TuneSpec
from kallos.words import counted, pasteable, shorten

_HEADINGS = {"revisions": "revised", "association": "assoc.", "preparation": "prep."}
_SIGNS: dict[Outcome, tuple[str, str]] = {
    "leak": ("LEAK", "bold red"),
    "suspicious": ("suspect", "yellow"),
    "not testable": ("-", "dim"),
    "clean": ("ok", "green"),
}


def show_audit(console: Console, report: AuditReport, spec: TuneSpec, n_rows: int, *, n_kept: int = 0) -> None:
    """Print a row for each suspect column, one for all clean columns, the evidence, and the verdict.

    `n_kept` is the number of hold-out rows, which were not audited.
    """
    clean = report.clean_columns
    title = f"audit of {spec.data.only_asset}: {counted(n_rows, 'row')}"
    if n_kept:
        title += f"; {counted(n_kept, 'row')} of the hold-out not audited"
    table = Table(title=Text(title), title_justify="left")
    table.add_column("column", overflow="fold")
    for stage in STAGES:
        table.add_column(_HEADINGS.get(stage, stage))
    for column in dict.fromkeys(each.column for each in report.verdicts if each.verdict in ("leak", "suspicious")):
        cells = _cells([each for each in report.verdicts if each.column == column])
        table.add_row(Text("(as a whole)" if column is None else pasteable(column)), *cells)
    if clean:
        cells = _cells([each for each in report.verdicts if each.column in clean])
        table.add_row(Text(counted(len(clean), "clean column")), *cells)
    console.print(table)
    alike: dict[tuple[Outcome, str, str, str | None], list[str]] = {}
    for each in report.verdicts:
        if each.verdict != "clean":
            names = alike.setdefault((each.verdict, each.stage, each.evidence, each.remedy), [])
            names += [] if each.column is None else [pasteable(each.column)]
    for (finding, where, evidence, remedy), names in alike.items():
        subject = f"{where}: {shorten(names)}" if names else where
        message = f"{evidence}; {remedy}" if remedy else evidence
        console.print(Text.assemble((finding, _SIGNS[finding][1]), f" ({subject}): {in_flags(message)}"))
    console.print(Text(report.sentence, style=_verdict_style(report)), soft_wrap=True)


def _cells(verdicts: list[AuditVerdict]) -> list[Text]:
    cells = []
    for stage in STAGES:
        found = [each.verdict for each in verdicts if each.stage == stage]
        sign, style = _SIGNS[min(found, key=OUTCOMES.index)] if found else ("", "")
        cells.append(Text(sign, style=style))
    return cells


def _verdict_style(report: AuditReport) -> str:
    return "bold red" if report.has_leak else "yellow" if report.having("suspicious") else "bold green"
