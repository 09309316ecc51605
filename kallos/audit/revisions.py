"""Have rows changed since an earlier study read them?"""

import pandas as pd

from kallos.audit.comparison import changes
from kallos.audit.verdicts import AuditVerdict
from kallos.features.moments import timestamp

_FEWEST_SHARED = 1


def audit_revisions(
    today: pd.DataFrame, earlier: pd.DataFrame, *, earlier_target: str | None = None
) -> list[AuditVerdict]:
    """Return a verdict per column of today's rows: whether they differ from those that an earlier snapshot holds.

    Both are frames as `kallos.folds.columns.study_frame` returns them: the target first, and stamped when known. Of
    two targets neither is compared, since in the other frame it may be stamped otherwise. Where both have one target,
    but the earlier one was stamped by another label horizon, `earlier_target` names it, and it is not compared.
    """
    if isinstance(today.index, pd.DatetimeIndex) != isinstance(earlier.index, pd.DatetimeIndex):
        return [not_testable("the earlier snapshot is indexed by another kind of timestamp")]
    shared = today.index.intersection(earlier.index)
    if len(shared) < _FEWEST_SHARED:
        return [not_testable("no row of the earlier snapshot is among today's")]
    verdicts = []
    now, then = today.loc[shared], earlier.loc[shared]
    found = changes(then, now)
    targets = {str(today.columns[0]), earlier_target or str(next(iter(earlier.columns), ""))}
    stamped_otherwise = targets if earlier_target or len(targets) > 1 else set()
    for name in today.columns:
        if name in stamped_otherwise:
            verdicts.append(not_testable("the earlier snapshot is of another target or label horizon", column=name))
            continue
        if name not in found:
            verdicts.append(not_testable("the earlier snapshot does not have it", column=name))
            continue
        change = found[name]
        if not len(change.rows):
            verdicts.append(
                AuditVerdict(
                    stage="revisions",
                    column=name,
                    verdict="clean",
                    evidence=f"all {len(shared)} rows of the earlier snapshot are as they were",
                )
            )
            continue
        row = change.first
        verdicts.append(
            AuditVerdict(
                stage="revisions",
                column=name,
                verdict="leak",
                evidence=f"{len(change.rows)} of {len(shared)} rows were revised since the earlier snapshot, first "
                f"{timestamp(shared[row])} ({then[name].iloc[row]:.6g}, now {now[name].iloc[row]:.6g})",
                remedy="store each value as it was first known, or stamp it when its last revision is known",
            )
        )
    return verdicts


def not_testable(why: str, *, column: str | None = None) -> AuditVerdict:
    """Return the verdict on a comparison that cannot be made."""
    return AuditVerdict(
        stage="revisions",
        column=column,
        verdict="not testable",
        evidence=why,
        remedy="tune once, and audit again when rows have come, or give `against` SNAPSHOT.parquet",
    )
