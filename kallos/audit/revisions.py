"""The revisions stage: have rows changed since an earlier study read them?"""

import pandas as pd

from kallos.audit.comparison import changes
from kallos.audit.verdicts import AuditVerdict, clean, leak, not_testable
from kallos.features.moments import timestamp


def audit_revisions(
    today: pd.DataFrame, earlier: pd.DataFrame, *, earlier_target: str | None = None
) -> list[AuditVerdict]:
    """Return a verdict for each column of today's rows: whether they differ from those of an earlier snapshot.

    Both are frames as `kallos.folds.columns.study_frame` returns them: the target first, at the timestamp when it is
    known. If the two targets differ, neither is compared, because the other frame may have it at another timestamp.
    `earlier_target` names the target that the earlier snapshot has under another label horizon; it is not compared.
    """
    if isinstance(today.index, pd.DatetimeIndex) != isinstance(earlier.index, pd.DatetimeIndex):
        return [not_comparable("the earlier snapshot has another kind of timestamp")]
    shared = today.index.intersection(earlier.index)
    if shared.empty:
        return [not_comparable("today's rows include none of the earlier snapshot")]
    now, then = today.loc[shared], earlier.loc[shared]
    found = changes(then, now)
    targets = {str(today.columns[0]), earlier_target or str(next(iter(earlier.columns), ""))}
    not_compared = targets if earlier_target or len(targets) > 1 else set()
    verdicts = []
    for name in today.columns:
        if name in not_compared:
            verdict = not_comparable("the earlier snapshot has another target or label horizon", column=name)
        elif name not in found:
            verdict = not_comparable("the earlier snapshot does not have this column", column=name)
        elif not len(rows := found[name]):
            verdict = clean("revisions", name, f"all {len(shared)} rows of the earlier snapshot are unchanged")
        else:
            verdict = leak(
                "revisions",
                name,
                f"{len(rows)} of {len(shared)} rows were revised since the earlier snapshot, first "
                f"{timestamp(shared[rows[0]])} ({then[name].iloc[rows[0]]:.6g}, now {now[name].iloc[rows[0]]:.6g})",
                "store each value as it was first known, or at the timestamp when its last revision is known",
            )
        verdicts.append(verdict)
    return verdicts


def not_comparable(why: str, *, column: str | None = None) -> AuditVerdict:
    """Return the verdict on a comparison that cannot be made."""
    remedy = "tune once and audit again when there are new rows, or set `against` SNAPSHOT.parquet"
    return not_testable("revisions", column, why, remedy)
