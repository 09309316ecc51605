"""Training a model: the trials that a study chose, refitted on all of its rows."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from statistics import median

from kallos.architectures import get_architecture
from kallos.errors import DataError, FitError, UsageError
from kallos.features.frequency import find_frequency
from kallos.features.moments import timestamp
from kallos.features.snapshots import frame_sha256, read_snapshot
from kallos.folds.cut import Fold
from kallos.models.manifest import Choice, FileRecord, Manifest, MemberRecord, Refit, model_label
from kallos.models.trained import TrainedModel, preparation_bytes
from kallos.scoring.fold import fit_fold
from kallos.scoring.job import EVALUATION_VERSION, FitSpec, FoldJob, rows_sha256
from kallos.scoring.machine import installed_versions, machine
from kallos.scoring.weights import are_finite, weights_bytes
from kallos.specs.study import Choose
from kallos.study.best_params import BestParams
from kallos.study.choice import Member
from kallos.study.members import chosen
from kallos.study.replication import SeedReplication, seeds_from


@dataclass(frozen=True)
class MemberFit:
    """What fitting a member leaves: bytes that any process makes the same model of, and how it was fitted."""

    epochs: int
    best_epoch: int
    to_median: tuple[tuple[tuple[float, ...], ...], ...]
    preparation: bytes
    weights: bytes


# Does work on a job, in this process or in another, as `FoldPool.run`.
Run = Callable[[Callable[[FoldJob], MemberFit], FoldJob], MemberFit]


@dataclass(frozen=True)
class _MemberJob:
    """A member with one seed, to be fitted on the rows of the job; `n_epochs` is None if it stops by itself."""

    member: Member
    job: FoldJob
    n_epochs: int | None

    def fitted(self, run: Run) -> MemberFit:
        return run(partial(fit_member, n_epochs=self.n_epochs), self.job)


def choose(best: BestParams, choose: Choose | None = None) -> Choice:
    """Return the trials to train, by default as the study chooses.

    Raises `UsageError` for a study of several assets, or if its file has no such choice.
    """
    best.spec.data.refuse_several()
    return chosen(best, choose)


def in_this_process(work: Callable[[FoldJob], MemberFit], job: FoldJob) -> MemberFit:
    """Do work on a job here."""
    return work(job)


def train(
    best: BestParams,
    snapshot: str,
    choice: Choice,
    *,
    seeds: int = 3,
    refit: Refit = "inner-validation",
    seed_replication: SeedReplication | None = None,
    run: Run = in_this_process,
    workers: int = 1,
) -> TrainedModel:
    """Train the chosen trials on all rows of the study, each once for each seed.

    The seeds of a trial share its weight. If they make no difference, as in a ridge regression, only one is kept.
    `snapshot` is the address of the study's rows, as returned by `kallos.study.again.study_rows`; with `train_rows`,
    only the last so many are used. `inner-validation` stops early on their last share, as in a fold. `median-epochs`
    trains each trial on every row for the median of its best epochs over the folds, or over the `seed_replication` if
    given. `run` is called from `workers` threads, unless there is but one fit: that is done here. The same arguments
    give the same model to the bit on the same kind of machine, in any processes.

    Raises `DataError` for other rows, `FitError` if a member cannot be built or trained, and `UsageError` if `seeds` is
    below one, or the best epochs of a trial are unknown.
    """
    if seeds < 1:
        raise UsageError(f"`seeds` must be 1 or more, not {seeds}")
    rows, spec = read_snapshot(snapshot), best.spec
    if frame_sha256(rows) != best.data.sha256:
        raise DataError(f"a model must be trained on the rows of its study ({best.data.sha256[:12]}), and these differ")
    first = 0 if spec.folds.train_rows is None else max(len(rows) - spec.folds.train_rows, 0)
    whole = Fold(0, first, len(rows), len(rows), len(rows))
    n_epochs = _median_epochs(best, choice, seed_replication) if refit == "median-epochs" else None
    jobs = list(_jobs(best, snapshot, whole, choice, seeds_from(spec.seed, seeds), n_epochs))
    if len(jobs) == 1:
        fits = [jobs[0].fitted(in_this_process)]
    else:
        with ThreadPoolExecutor(workers) as threads:
            fits = list(threads.map(lambda each: each.fitted(run), jobs))
    members = [(_record(*each), each[1]) for each in _kept(jobs, fits)]
    contents: dict[str, bytes] = {}
    for record, fit in members:
        contents |= {record.preparation: fit.preparation, record.weights: fit.weights}
    manifest = Manifest(
        asset_id=spec.data.only_asset,
        model_label=model_label(record.architecture for record, _ in members),
        target=spec.features.target,
        horizon=spec.horizon,
        lead=spec.features.lead,
        columns=tuple(rows.columns),
        frequency=find_frequency(rows.index, spec.data.frequency),
        choice=choice,
        seed_replication=seed_replication,
        refit=refit,
        members=tuple(record for record, _ in members),
        study=best.study,
        data=best.data,
        train_start=timestamp(rows.index[first]),
        holdout_start=best.holdout_start,
        holdout_end=best.holdout_end,
        spec=spec,
        evaluation=EVALUATION_VERSION,
        versions=installed_versions(),
        machine=machine(),
        files={name: FileRecord.of(content) for name, content in contents.items()},
    )
    return TrainedModel.restore(manifest.named(), contents)


def fit_member(job: FoldJob, *, n_epochs: int | None = None) -> MemberFit:
    """Fit a job's model on its training rows, with early stopping or for a given number of epochs.

    Raises `FitError` as `kallos.scoring.fold.fit_fold`, or if a weight is not finite.
    """
    fitted = fit_fold(job, n_epochs=n_epochs)
    if not are_finite(fitted.model):
        raise FitError(
            f"trained weights must be finite, and those of {job.fit.model_name} with seed {job.fit.seed} are not"
        )
    return MemberFit(
        epochs=fitted.epochs,
        best_epoch=fitted.best_epoch,
        to_median=fitted.to_median.tolist(),
        preparation=preparation_bytes(fitted.series[0].preparation),
        weights=weights_bytes(fitted.model),
    )


def _jobs(
    best: BestParams,
    snapshot: str,
    whole: Fold,
    choice: Choice,
    seeds: Sequence[int],
    n_epochs: Sequence[int] | None,
) -> Iterator[_MemberJob]:
    content = rows_sha256(read_snapshot(snapshot), (whole,))
    for position, member in enumerate(choice.members):
        fit = FitSpec.of(best.spec, member.params)
        # Epochs mean nothing to a regression, which is fitted once on every row anyway.
        own = n_epochs[position] if n_epochs and get_architecture(fit.model_name).stops_early else None
        for seed in seeds:
            name = f"trial-{member.trial}-seed-{seed}"
            job = FoldJob(name, snapshot, content, (whole,), replace(fit, seed=seed))
            yield _MemberJob(member, job, own)


def _kept(jobs: Sequence[_MemberJob], fits: Sequence[MemberFit]) -> Iterator[tuple[_MemberJob, MemberFit, float]]:
    """Yield each member's fits with their weights: one per seed, or only the first if all have learnt the same."""
    for _, group in groupby(zip(jobs, fits, strict=True), key=lambda each: each[0].member.trial):
        of_trial = list(group)
        kept = of_trial[:1] if len({fit.weights for _, fit in of_trial}) == 1 else of_trial
        for job, fit in kept:
            yield job, fit, job.member.weight / len(kept)


def _record(job: _MemberJob, fit: MemberFit, weight: float) -> MemberRecord:
    trial, seed, name = job.member.trial, job.job.fit.seed, job.job.fit.model_name
    return MemberRecord(
        trial=trial,
        architecture=name,
        architecture_sha256=get_architecture(name).source_sha256,
        seed=seed,
        weight=weight,
        epochs=fit.epochs,
        best_epoch=fit.best_epoch,
        to_median=fit.to_median,
        preparation=f"preparation-{trial}.json",
        weights=f"weights-{trial}-{seed}.safetensors",
    )


def _median_epochs(best: BestParams, choice: Choice, seed_replication: SeedReplication | None) -> tuple[int, ...]:
    """Return for how many epochs each of the choice's trials is trained."""
    if seed_replication is not None:
        return tuple(max(epoch, 1) for epoch in seed_replication.median_epochs)
    unknown = [trial for trial in choice.trials if trial != best.best_trial]
    if unknown:
        raise UsageError(
            f"median-epochs needs the epochs of trial {unknown[0]}, and the study's file has only those of its best "
            f"trial ({best.best_trial}): replicate the choice with several seeds, or use inner-validation"
        )
    return (max(round(median(fold.best_epoch for fold in best.folds)), 1),)
