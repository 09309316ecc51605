"""The leaderboard of a grid: the models of each asset and the baseline, with mean ranks over the assets."""

import csv
import io
import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import Literal

from pydantic import BaseModel, ConfigDict

from kallos.specs.grid import StudyGrid
from kallos.specs.metrics import RMSE, Direction, metric_label, metric_of, recorded_metric
from kallos.specs.study import TuneSpec
from kallos.storage import Folder
from kallos.study.best_params import BestParams
from kallos.study.names import LEADERBOARD, grid_folder, latest_leaderboard
from kallos.words import counted, signed

BASELINE = "baseline"


class LeaderboardEntry(BaseModel):
    """The result of a study of one model on one asset, or the reason why it has none.

    `value` is the mean score of its best trial over the folds by `metric`, which is better in this `direction`, and it
    beats the baseline in `folds_won` of them. `trials` of `n_trials` have ended, and `pending` more have started.
    `is_found` says that a complete result existed, so no run was needed.
    """

    model_config = ConfigDict(frozen=True)

    asset: str
    model: str
    status: Literal["done", "failed", "waiting"] = "waiting"
    value: float | None = None
    baseline: str | None = None
    baseline_value: float | None = None
    folds_won: int | None = None
    folds: int | None = None
    trials: int | None = None
    pending: int = 0
    n_trials: int
    metric: str = RMSE
    direction: Direction = "minimize"
    study: str | None = None
    reason: str | None = None
    is_found: bool = False

    @classmethod
    def waiting(cls, spec: TuneSpec) -> "LeaderboardEntry":
        """Return the entry of a study that has not ended."""
        return cls(
            asset=spec.data.asset_label,
            model=spec.model_name,
            n_trials=spec.n_trials,
            metric=spec.metric,
            direction=metric_of(spec.metric).direction,
        )

    @classmethod
    def failed(cls, spec: TuneSpec, reason: str) -> "LeaderboardEntry":
        """Return the entry of a study without a result, with the reason in one line."""
        return cls.waiting(spec).model_copy(update={"status": "failed", "reason": " ".join(reason.split())})

    @classmethod
    def of(cls, spec: TuneSpec, best: BestParams) -> "LeaderboardEntry":
        """Return the entry of a study from its best-parameters document."""
        return cls.waiting(spec).model_copy(
            update={
                "status": "done",
                "value": best.best_value,
                "baseline": best.baseline,
                "baseline_value": best.baseline_value,
                "folds_won": best.folds_won,
                "folds": len(best.folds),
                "trials": best.n_trials,
                "pending": best.n_pending,
                "study": best.study,
            }
        )

    @property
    def skill(self) -> float | None:
        """How much better the best trial is than the baseline (`Metric.skill`), None without a result."""
        if self.value is None or self.baseline_value is None:
            return None
        return recorded_metric(self.metric, self.direction).skill(self.value, self.baseline_value)

    @property
    def shown_skill(self) -> str:
        """The skill with its sign, empty without a result."""
        return signed(self.skill, recorded_metric(self.metric, self.direction).skill_is)


class Row(BaseModel):
    """A row of the leaderboard: a model on an asset, or the baseline."""

    model_config = ConfigDict(frozen=True)

    asset: str
    rank: float | None = None
    model: str
    status: Literal["done", "failed", "waiting", "baseline"]
    metric: str
    direction: Direction
    value: float | None
    skill: float | None = None
    folds_won: int | None = None
    folds: int | None
    trials: int | None = None
    n_trials: int | None = None
    study: str | None = None
    reason: str | None = None

    @property
    def shown_skill(self) -> str:
        """The skill with its sign, empty if there is none."""
        return signed(self.skill, recorded_metric(self.metric, self.direction).skill_is)


class MeanRank(BaseModel):
    """A model's mean rank over the assets, 1 being the best; ties share the mean of their ranks."""

    model_config = ConfigDict(frozen=True)

    model: str
    rank: float
    assets: int


class Leaderboard(BaseModel):
    """All studies of a grid, in the grid's order."""

    model_config = ConfigDict(frozen=True)

    entries: tuple[LeaderboardEntry, ...]

    def updated(self, entry: LeaderboardEntry) -> "Leaderboard":
        """Return the leaderboard with this entry replacing that of the same model and asset."""
        key = (entry.asset, entry.model)
        return Leaderboard(entries=tuple(entry if (each.asset, each.model) == key else each for each in self.entries))

    @property
    def label(self) -> str:
        """The names of the studies' metrics."""
        return ", ".join(dict.fromkeys(metric_label(entry.metric) for entry in self.entries)) or metric_label(RMSE)

    @property
    def failed(self) -> tuple[LeaderboardEntry, ...]:
        """The studies without a result."""
        return tuple(entry for entry in self.entries if entry.status == "failed")

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows by asset, best value first; at equal values, baseline comes before a model."""
        return tuple(row for entries in self._by_asset().values() for row in _rows(entries))

    @property
    def mean_ranks(self) -> tuple[MeanRank, ...]:
        """The mean rank of each model and the baseline, best first, over the assets that all models have finished.

        A missing model would improve the ranks of the others (Demšar, 2006, Statistical Comparisons of Classifiers over
        Multiple Data Sets, section 3.2.2, ranks complete data sets only). Empty if there is no such asset.
        """
        whole = [entries for entries in self._by_asset().values() if all(each.status == "done" for each in entries)]
        ranks: dict[str, list[float]] = {}
        for entries in whole:
            for row in _rows(entries):
                assert row.rank is not None
                ranks.setdefault(BASELINE if row.status == "baseline" else row.model, []).append(row.rank)
        means = [MeanRank(model=model, rank=sum(each) / len(each), assets=len(each)) for model, each in ranks.items()]
        return tuple(sorted(means, key=lambda each: (each.rank, each.model)))

    def _by_asset(self) -> dict[str, list[LeaderboardEntry]]:
        by_asset: dict[str, list[LeaderboardEntry]] = {}
        for entry in self.entries:
            by_asset.setdefault(entry.asset, []).append(entry)
        return by_asset


def write_leaderboard(board: Leaderboard, grid: StudyGrid, results: str) -> str:
    """Write the rows into the grid's own folder and return the address of the file.

    A copy among the results replaces that of the last grid with the same target. Raises `KallosError` if the results
    cannot be written.
    """
    text = leaderboard_csv(board)
    Folder(results).write(latest_leaderboard(grid), text)
    return Folder(grid_folder(results, grid)).write(LEADERBOARD, text)


def leaderboard_csv(board: Leaderboard) -> str:
    """Return the rows as CSV, with numbers in full precision."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Row.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row.model_dump(), "rank": rank_text(row.rank)} for row in board.rows)
    return text.getvalue()


def leaderboard_markdown(board: Leaderboard) -> str:
    """Return the leaderboard as markdown: rows, notes, and why studies failed."""
    rows = "\n".join(
        f"| {_cell(row.asset)} | {rank_text(row.rank)} | {_cell(row.model)} | {value(row.value)} | {row.shown_skill} "
        f"| {of(row.folds_won, row.folds)} | {of(row.trials, row.n_trials)} | {row.status} |"
        for row in board.rows
    )
    parts = [
        "# Leaderboard\n",
        f"| asset | rank | model | {board.label} | skill | folds won | trials | status |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        rows,
    ]
    parts += [f"\n{note}" for note in notes(board)]
    parts += [f"\n- {entry.model} on {entry.asset} failed: {entry.reason}" for entry in board.failed]
    return "\n".join(parts) + "\n"


def notes(board: Leaderboard) -> list[str]:
    """Return the notes under the rows: a warning that values are optimistic, and the mean ranks."""
    messages = []
    if any(entry.status == "done" for entry in board.entries):
        messages.append(
            "Each value is that of a study's best trial, chosen on these very folds, so it is optimistic, the more so "
            "with more trials and models."
        )
    if board.mean_ranks:
        ranks = ", ".join(f"{each.model} {each.rank:.2f}" for each in board.mean_ranks)
        n_assets = board.mean_ranks[0].assets
        messages.append(f"Mean rank over {counted(n_assets, 'asset')} that all models have finished: {ranks}.")
    return messages


def value(number: float | None) -> str:
    """Return a score to show, empty if there is none."""
    return "" if number is None else f"{number:.5g}"


def of(number: int | None, whole: int | None) -> str:
    """Return `3 of 4`, empty without a number."""
    return "" if number is None else f"{number} of {whole}"


def rank_text(rank: float | None) -> str:
    """Return a rank to show, such as `2`, or `2.5` for a tie."""
    return "" if rank is None else f"{rank:g}"


def _rows(entries: Sequence[LeaderboardEntry]) -> list[Row]:
    """Return the rows of one asset."""
    from scipy.stats import rankdata  # Slow to import, and most commands show no leaderboard.

    rows = [
        Row(
            skill=each.skill,
            **each.model_dump(exclude={"baseline", "baseline_value", "pending", "is_found"}),
        )
        for each in entries
    ]
    scored = next((each for each in entries if each.baseline_value is not None), None)
    if scored is not None:
        baseline = Row(
            asset=scored.asset,
            model=f"{BASELINE} ({scored.baseline})",
            status="baseline",
            metric=scored.metric,
            direction=scored.direction,
            value=scored.baseline_value,
            folds=scored.folds,
        )
        rows.append(baseline)
    rows.sort(key=_order)
    ranks = rankdata([_loss(row) for row in rows if row.value is not None]).tolist()
    # Rows without a value come last, and have no rank.
    return [row.model_copy(update={"rank": rank}) for row, rank in zip_longest(rows, ranks)]


def _order(row: Row) -> tuple[float, bool, str]:
    return _loss(row), row.status != "baseline", row.model


def _loss(row: Row) -> float:
    """Return a number to sort by, of which lower is better; a row without a value comes last."""
    return math.inf if row.value is None else recorded_metric(row.metric, row.direction).as_loss(row.value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
