"""`kallos-run audit`: search for leaks by experiment."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from flows.flags import SPEC_FLAGS, FeaturesUrl, StudyFile, read_spec, with_flags
from flows.wording import AsJson, Console, print_json
from kallos.errors import UsageError
from kallos.settings import Settings
from kallos.specs.data import DataSpec
from kallos.specs.study import TuneSpec
from kallos.words import scrubbed

if TYPE_CHECKING:
    import pandas as pd

    from kallos.audit.query import Load
    from kallos.features.chunks import OnRows
    from kallos.features.store import FeatureStore


@with_flags(*SPEC_FLAGS)
def audit(
    *,
    study: StudyFile = None,
    db_url: FeaturesUrl = None,
    against: Annotated[
        str | None,
        Parameter(
            help="Snapshot (Parquet) of an earlier study, to find rows that were revised since. [default: that of the "
            "last result]"
        ),
    ] = None,
    as_json: AsJson = False,
    **given: Any,
) -> None:
    """Search for leaks by experiment: change the future, and see whether the past moves.

    Takes the flags of `tune`, and tests everything between the database and a forecast: the query with earlier end
    dates, the rows of an earlier study, the label, what each column tells about the target, preparation, and the
    forecasts of one quick fit. The exit code is 1 if a leak is found.
    """
    spec = read_spec(study, given)
    settings = Settings.read()
    with Console(stderr=True).status("reading the features") as status:
        from kallos.audit import AuditReport, audit_study, before_holdout
        from kallos.features.store import FeatureStore

        with FeatureStore(db_url or settings.features_url, timeout=settings.db_timeout) as store:
            spec.data.refuse_several()
            frame = _load(
                store, spec, spec.data, lambda n_rows: status.update(f"reading the features: {n_rows:,} rows")
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
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        from flows.terminal.audit import show_audit

        show_audit(Console(), report, spec, n_rows, n_kept=len(frame) - n_rows)
    if report.has_leak:
        sys.exit(1)


def _rerun(store: "FeatureStore", spec: TuneSpec) -> "Load | None":
    """Return a function that runs the query up to an earlier date, or None for a table, which has no query."""
    if spec.data.query is None:
        return None
    # Keeps rows after the end date, so that the audit can see that a query returns them.
    return lambda end_date: _load(store, spec, spec.data.model_copy(update={"end_date": end_date}))


def _load(store: "FeatureStore", spec: TuneSpec, data: DataSpec, on_rows: "OnRows | None" = None) -> "pd.DataFrame":
    """Return the study's rows as loaded, without those that only tell what is known ahead."""
    from kallos.features.rows import tidy
    from kallos.folds.columns import observed_rows

    rows = observed_rows(store.read(data, on_rows), spec.features, data.timestamp_column)
    return tidy(rows, spec.data)


@dataclass(frozen=True)
class _Earlier:
    """The rows of an earlier snapshot, or why there are none; its target if that had another timestamp."""

    rows: "pd.DataFrame | None"
    target: str | None = None
    why_none: str = ""


def _snapshot(address: str) -> "pd.DataFrame":
    from kallos.features.snapshots import read_snapshot

    try:
        return read_snapshot(address)
    except OSError as error:
        raise UsageError(f"--against must be a readable snapshot: {error}") from None


def _last_snapshot(spec: TuneSpec, settings: Settings) -> _Earlier:
    """Return the rows of the latest result of this model, asset and target."""
    from kallos.features.snapshots import read_snapshot, snapshot_address
    from kallos.study.best_params import read_latest

    folder = settings.results or "kallos-results"
    last = read_latest(spec, folder)
    if last is None:
        return _Earlier(None, why_none=scrubbed(f"{folder} has no earlier result of this model, asset and target"))
    try:
        rows = read_snapshot(snapshot_address(last.data.sha256, settings.snapshots))
    except OSError:
        why_none = f"the snapshot of the last result is no longer in {settings.snapshots}"
        return _Earlier(None, why_none=scrubbed(why_none))
    then, now = last.spec.features, spec.features
    has_same_label = (then.target, then.label_horizon) == (now.target, now.label_horizon)
    return _Earlier(rows, target=None if has_same_label else then.only_target)
