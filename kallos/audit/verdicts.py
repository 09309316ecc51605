"""The verdicts of an audit, by column and stage."""

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, computed_field

from kallos.words import pasteable, shorten

Stage = Literal["query", "revisions", "label", "association", "preparation", "forecast"]
Outcome = Literal["leak", "suspicious", "not testable", "clean"]

# In the order in which data pass through them.
STAGES: tuple[Stage, ...] = get_args(Stage)
# Worst first.
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


class AuditVerdict(BaseModel):
    """The verdict of one stage on one column, or on all of them (`column` is None)."""

    model_config = ConfigDict(frozen=True)

    stage: Stage
    column: str | None
    verdict: Outcome
    evidence: str
    remedy: str | None = None


def clean(stage: Stage, column: str | None, evidence: str) -> AuditVerdict:
    """Return the verdict that a stage finds no leak in a column."""
    return AuditVerdict(stage=stage, column=column, verdict="clean", evidence=evidence)


def leak(stage: Stage, column: str | None, evidence: str, remedy: str) -> AuditVerdict:
    """Return the verdict that a stage finds a leak in a column."""
    return AuditVerdict(stage=stage, column=column, verdict="leak", evidence=evidence, remedy=remedy)


def not_testable(stage: Stage, column: str | None, evidence: str, remedy: str) -> AuditVerdict:
    """Return the verdict that a stage cannot test a column."""
    return AuditVerdict(stage=stage, column=column, verdict="not testable", evidence=evidence, remedy=remedy)


class AuditReport(BaseModel):
    """All verdicts of an audit, worst first."""

    model_config = ConfigDict(frozen=True)

    verdicts: tuple[AuditVerdict, ...]

    @classmethod
    def of(cls, verdicts: list[AuditVerdict]) -> "AuditReport":
        """Return the report of these verdicts, sorted by outcome, then by stage."""
        return cls(
            verdicts=tuple(sorted(verdicts, key=lambda each: (OUTCOMES.index(each.verdict), STAGES.index(each.stage))))
        )

    @computed_field  # type: ignore[prop-decorator]
    @property
    def has_leak(self) -> bool:
        """Whether any verdict is a leak."""
        return bool(self.having("leak"))

    def having(self, finding: Outcome) -> list[AuditVerdict]:
        """Return the verdicts with this outcome."""
        return [each for each in self.verdicts if each.verdict == finding]

    @property
    def clean_columns(self) -> list[str]:
        """The columns that every stage that could test them found clean."""
        tested = {each.column for each in self.having("clean")}
        at_fault = {each.column for each in (*self.having("leak"), *self.having("suspicious"))}
        return sorted(name for name in tested - at_fault if name is not None)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def sentence(self) -> str:
        """The result in one line."""
        untested = sorted({each.stage for each in self.having("not testable")}, key=STAGES.index)
        rest = f"; not testable: {', '.join(untested)}" if untested else ""
        if leaks := self.having("leak"):
            return f"LEAK: {_named(leaks)}: no score of this study can be trusted{rest}"
        if suspicious := self.having("suspicious"):
            return f"suspicious: {_named(suspicious)}: explain it before you trust a score{rest}"
        return f"no leak found{rest}"


def _named(verdicts: list[AuditVerdict]) -> str:
    by_stage: dict[str, list[str]] = {}
    for each in verdicts:
        names = by_stage.setdefault(each.stage, [])
        if each.column is not None:
            names.append(pasteable(each.column))
    return "; ".join(f"{stage} ({shorten(names, 4)})" if names else stage for stage, names in by_stage.items())
