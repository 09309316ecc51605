"""What an audit finds, column by column and stage by stage."""

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, computed_field

from kallos.words import pasteable, shorten

Stage = Literal["query", "revisions", "label", "association", "preparation", "forecast"]
Outcome = Literal["leak", "suspicious", "not testable", "clean"]

# In the order of the data's way.
STAGES: tuple[Stage, ...] = get_args(Stage)
# The worst first.
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


class AuditVerdict(BaseModel):
    """What one stage says of one column, or of the whole (`column` is None)."""

    model_config = ConfigDict(frozen=True)

    stage: Stage
    column: str | None
    verdict: Outcome
    evidence: str
    remedy: str | None = None


class AuditReport(BaseModel):
    """All verdicts of an audit, the worst first."""

    model_config = ConfigDict(frozen=True)

    verdicts: tuple[AuditVerdict, ...]

    @classmethod
    def of(cls, verdicts: list[AuditVerdict]) -> "AuditReport":
        """Return the report of these verdicts, sorted by finding, then by stage."""
        return cls(
            verdicts=tuple(sorted(verdicts, key=lambda each: (OUTCOMES.index(each.verdict), STAGES.index(each.stage))))
        )

    @computed_field  # type: ignore[prop-decorator]
    @property
    def has_leak(self) -> bool:
        """Whether a leak was found."""
        return bool(self.having("leak"))

    def having(self, finding: Outcome) -> list[AuditVerdict]:
        """Return the verdicts of one kind."""
        return [each for each in self.verdicts if each.verdict == finding]

    @property
    def clean_columns(self) -> list[str]:
        """The columns that were tested, and of which every stage that could test them says that they are clean."""
        tested = {each.column for each in self.having("clean")}
        at_fault = {each.column for each in (*self.having("leak"), *self.having("suspicious"))}
        return sorted(name for name in tested - at_fault if name is not None)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def sentence(self) -> str:
        """The verdict in one line."""
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
