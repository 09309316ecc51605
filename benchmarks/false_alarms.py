"""How often an audit raises an alarm where there is no leak, on clean series of seven kinds.

    python -m benchmarks.false_alarms [SETS]

Each of 28 sets goes through the stages that judge data: its query at earlier end dates, its label, and what its columns
say of the target. The rate is that of alarms (leak or suspicious) over all verdicts that could be given.
"""

import sys
import time
from collections import Counter

from rich.console import Console
from rich.table import Table

from kallos.audit import AuditVerdict, audit_associations, audit_label, audit_query
from kallos.folds.columns import study_frame
from tests.clean_sets import CleanSet, clean_set

SETS = 28


def verdicts_on(clean: CleanSet) -> list[AuditVerdict]:
    """Return the verdicts of the stages that judge data."""
    loaded = clean.load(None)
    return [
        *audit_query(clean.load, clean.features),
        *audit_label(loaded, clean.features),
        *audit_associations(study_frame(loaded, clean.features), clean.features),
    ]


def main() -> None:
    n_sets = int(sys.argv[1]) if len(sys.argv) > 1 else SETS
    given, alarms = Counter[str](), Counter[str]()
    started = time.perf_counter()
    for seed in range(n_sets):
        clean = clean_set(seed)
        for each in verdicts_on(clean):
            if each.verdict == "not testable":
                continue
            given[each.stage] += 1
            if each.verdict in ("leak", "suspicious"):
                alarms[each.stage] += 1
                Console(stderr=True).print(f"set {seed}, {clean.kind}: {each}", highlight=False, markup=False)
    table = Table("stage", "verdicts", "false alarms", "rate", title=f"{n_sets} clean sets")
    for stage in given:
        table.add_row(stage, str(given[stage]), str(alarms[stage]), f"{alarms[stage] / given[stage]:.2%}")
    total, wrong = given.total(), alarms.total()
    table.add_row("all", str(total), str(wrong), f"{wrong / total:.2%}")
    Console().print(table)
    Console(stderr=True).print(f"{time.perf_counter() - started:.0f} seconds", highlight=False)


if __name__ == "__main__":
    main()
