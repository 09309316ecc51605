"""`kallos-run audit`: looks for leaks by experiment."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from flows.flags import SPEC_FLAGS, FeaturesUrl, StudyFile, read_spec, with_flags
from flows.wording import Console
from kallos.errors import UsageError
from kallos.settings import Settings
from kallos.specs.study import TuneSpec
from kallos.words import scrubbed

if TYPE_CHECKING:
    import pandas as pd

    from kallos.audit.query import Load
    from kallos.features.store import FeatureStore


@with_flags(*SPEC_FLAGS)
def audit(
    *,
    study: StudyFile = None,
    db_url: FeaturesUrl = None,
    against: Annotated[
        str | None,
        Parameter(
            help="Snapshot (Parquet) of an earlier study, to find rows that were revised since. "
            "[default: that of the last result]",
            show_default=False,
        ),
    ] = None,
    json: Annotated[bool, Parameter(negative="", help="Print the report as JSON.")] = False,
    **given: Any,
) -> None:
    """Look for leaks by experiment: change the future, and see whether the past moves.

    Runs on what `tune` would run on, with the same flags, through all that lies between the database and a forecast:
    the query again with earlier end dates, the rows of an earlier study, the label, what each column says of the
    target, preparation, and the forecasts of one quick fit. Exit code 1 if a leak was found.
    """
    spec = read_spec(study, given)
    console = Console()
    settings = Settings.read()
    with Console(stderr=True).status("reading the features") as status:
        from kallos.audit import AuditReport, audit_study, before_holdout
        from kallos.features.store import FeatureStore

        with FeatureStore(db_url or settings.features_url, timeout=settings.db_timeout) as store:
            frame = store.load(
                spec.data, on_rows=lambda n_rows: status.update(f"reading the features: {n_rows:,} rows")
            )
            earlier = _Earlier(_snapshot(against)) if against else _last_snapshot(spec, settings)
            verdicts = audit_study(
                frame,
                spec,
                load=_rerun(store, spec),
                earlier=earlier.rows,
                earlier_target=earlier.target,
                no_earlier=earlier.why_none,
                watch=lambda stage: status.update(f"audit: {stage}"),
            )
            n_rows = len(before_holdout(frame, spec)[1]) if spec.folds.holdout else len(frame)
    report = AuditReport.of(verdicts)
    if json:
        sys.stdout.write(report.model_dump_json(indent=2) + "\n")
    else:
        from flows.terminal.audit import show_audit

        show_audit(console, report, spec, n_rows, n_kept=len(frame) - n_rows)
    if report.has_leak:
        sys.exit(1)


def _rerun(store: "FeatureStore", spec: TuneSpec) -> "Load | None":
    """Return how to compute the rows up to an earlier date, or None where a table only filters them."""
    from kallos.features.store import tidy

    if spec.data.query is None:
        return None

    def load(end_date: str | None) -> "pd.DataFrame":
        # Rows behind the date that a query returns all the same are kept, to be seen.
        rows = store.read(spec.data.model_copy(update={"end_date": end_date}))
        return tidy(rows, spec.data)

    return load


@dataclass(frozen=True)
class _Earlier:
    """The rows of an earlier snapshot, or else why there are none; its target, where that was stamped otherwise."""

    rows: "pd.DataFrame | None"
    target: str | None = None
    why_none: str = ""


def _snapshot(address: str) -> "pd.DataFrame":
    from kallos.features.snapshots import read_snapshot

    try:
        return read_snapshot(address)
    except OSError as error:
        raise UsageError(f"--against must be a snapshot that can be read: {error}") from None


def _last_snapshot(spec: TuneSpec, settings: Settings) -> _Earlier:
    """Return the rows of the latest result of this model, asset and target."""
    from kallos.features.snapshots import read_snapshot, snapshot_address
    from kallos.study.best_params import read_latest

    folder = settings.results or "kallos-results"
    last = read_latest(spec, folder)
    if last is None:
        return _Earlier(None, why_none=scrubbed(f"{folder} holds no earlier result of this model, asset and target"))
    try:
        rows = read_snapshot(snapshot_address(last.data.sha256, settings.snapshots))
    except OSError:
        why_none = f"the snapshot of the last result is not in {settings.snapshots} any more"
        return _Earlier(None, why_none=scrubbed(why_none))
    then, now = last.spec.features, spec.features
    is_stamped_alike = (then.target, then.label_horizon) == (now.target, now.label_horizon)
    return _Earlier(rows, target=None if is_stamped_alike else then.only_target)
