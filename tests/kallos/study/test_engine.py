"""Exactness: the same study whatever the workers, the order in which folds end, the kills and the storage."""

import json
import multiprocessing
import os
import random
import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import optuna
import pytest
import sqlalchemy

from kallos.cache import FoldCache
from kallos.errors import DatabaseError, FitError, KallosError, StudyError
from kallos.scoring.result import FoldResult
from kallos.study.budget import Budget, BudgetSpentError
from kallos.study.events import FoldScored, StudyFinished, StudyStarted, TrialFinished
from kallos.study.lines import opening, run_summary
from kallos.study.pruning import PRUNERS
from kallos.study.record import StudyRecord, check_record, open_record, parse_storage_url
from kallos.study.trials import WarmStart
from kallos.tuner import forget, run_tuning
from tests.samples import by_parameters, make_features, small_plan

EVERY_PRUNER = list(PRUNERS)
# With 3 folds the smallest p value of a Wilcoxon test is too large to end a trial.
MANY_FOLDS = {"n_folds": 8, "window": 20}


def a_plan(folder, **over):
    return small_plan(folder, **{"n_trials": 24, "folds": {"n_folds": 3, "window": 40}, **over})


def out_of_order(seed: int):
    """Score as `by_parameters` does, but let folds end in another order each time."""
    delays, lock = random.Random(seed), threading.Lock()

    def score(job) -> FoldResult:
        with lock:
            delay = delays.uniform(0, 0.01)
        time.sleep(delay)
        return by_parameters(job)

    return score


def states_by(pruner: str) -> set[str]:
    """Return how trials end: each pruner ends some early, or nothing is shown of it."""
    return {"complete"} if pruner == "none" else {"complete", "pruned"}


@pytest.mark.parametrize("pruner", EVERY_PRUNER)
def test_a_study_is_the_same_on_any_number_of_workers(tmp_path, pruner):
    # Well beyond the trials that samplers and pruners begin with.
    plan = a_plan(tmp_path, pruner=pruner, n_trials=45, folds=MANY_FOLDS)
    alone = run_tuning(plan, evaluate=by_parameters)
    for workers in (2, 7):
        assert run_tuning(plan, evaluate=out_of_order(workers), workers=workers) == alone
    assert {trial.state for trial in alone.trials} == states_by(pruner)


def test_the_number_of_pending_trials_is_part_of_a_study(tmp_path):
    four, one = (run_tuning(a_plan(tmp_path, max_pending_trials=n), evaluate=by_parameters) for n in (4, 1))
    assert four.study_name != one.study_name
    assert [trial.params for trial in four.trials] != [trial.params for trial in one.trials]


@pytest.mark.parametrize(("workers", "pruner"), [(1, "folds"), *((3, pruner) for pruner in EVERY_PRUNER)])
def test_a_study_that_ends_anywhere_and_is_carried_on_is_the_same(tmp_path, pruner, workers):
    plan = a_plan(tmp_path, pruner=pruner, n_trials=16, folds=MANY_FOLDS)
    whole = run_tuning(plan, evaluate=by_parameters)
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    ends, scored = random.Random(7), {}
    for _ in range(40):
        calls, last, score = [], ends.randint(2, 9), out_of_order(workers)

        def die(job, calls=calls, last=last, score=score):
            if job.fingerprint not in scored:
                calls.append(job)
                if len(calls) >= last:
                    raise OSError("the power is gone")
                scored[job.fingerprint] = score(job)
            return scored[job.fingerprint]

        try:
            with open_record(url, plan) as record:
                result = run_tuning(plan, evaluate=die, workers=workers, record=record)
            break
        except OSError:
            pass
    assert result == whole
    assert {trial.state for trial in whole.trials} == states_by(pruner)
    states = {trial.state for trial in optuna.load_study(study_name=plan.study_name, storage=url).trials}
    assert states <= {optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED}


def refuse(job) -> FoldResult:
    pytest.fail(f"{job.name} was fitted again")


def test_a_finished_study_is_not_run_again(tmp_path):
    plan, url = a_plan(tmp_path), f"sqlite:///{tmp_path / 'studies.db'}"
    with open_record(url, plan) as record:
        first = run_tuning(plan, evaluate=by_parameters, record=record)
    events = []
    with open_record(url, plan) as record:
        assert run_tuning(plan, evaluate=refuse, record=record, watcher=events.append) == first
    assert [type(event) for event in events] == [StudyStarted, StudyFinished]
    assert (events[0].recorded, events[1].fits) == (24, 0)


def test_a_longer_study_adds_only_the_new_trials(tmp_path):
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    short, long = a_plan(tmp_path, n_trials=20), a_plan(tmp_path, n_trials=30)
    assert short.study_name == long.study_name
    with open_record(url, short) as record:
        run_tuning(short, evaluate=out_of_order(1), record=record, workers=3)
    scored = []
    with open_record(url, long) as record:
        extended = run_tuning(long, evaluate=by_parameters, record=record, watcher=scored.append)
    assert {event.trial for event in scored if isinstance(event, FoldScored)} == set(range(20, 30))
    assert extended == run_tuning(long, evaluate=by_parameters)
    with open_record(url, short) as record:
        assert run_tuning(short, evaluate=refuse, record=record) == run_tuning(short, evaluate=by_parameters)


def test_more_trials_carries_a_study_on_up_to_all(tmp_path):
    plan, url = a_plan(tmp_path, n_trials=25), f"sqlite:///{tmp_path / 'studies.db'}"
    lengths = []
    for _ in range(4):
        with open_record(url, plan) as record:
            lengths.append(len(run_tuning(plan, evaluate=by_parameters, record=record, more_trials=10).trials))
    assert lengths == [10, 20, 25, 25]


def test_a_study_knows_its_data_specification_and_seed_by_name(tmp_path):
    longer = make_features(440)
    plan = a_plan(tmp_path, frame=longer[:400])
    changed = longer[:400].copy()
    changed.iloc[5, 0] += 1e-9
    others = [
        a_plan(tmp_path, frame=longer[:400], seed=1),
        a_plan(tmp_path, frame=longer[:400], pruner="none"),
        a_plan(tmp_path, frame=longer[:400], horizon=2),
        a_plan(tmp_path, frame=longer[:400], warm_start=2),
        a_plan(tmp_path, frame=longer[:400], model_name="lstm"),
        a_plan(tmp_path, frame=longer[:400], training={"patience": 9}),
        a_plan(tmp_path, frame=changed),
    ]
    assert len({each.study_name for each in (plan, *others)}) == 8
    # What moves no fold's score is the same study: one more day, dates asked for, more trials.
    assert a_plan(tmp_path, frame=longer[:410], n_trials=99).study_name == plan.study_name
    assert a_plan(tmp_path, frame=longer[:400], data={"start_date": "2020-01-01"}).study_name == plan.study_name


def test_when_a_window_closes_the_best_of_the_latest_study_are_tried_first(tmp_path):
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    yesterday, today = make_features(440).iloc[:-1], make_features(440)
    plan = a_plan(tmp_path, frame=yesterday)
    with open_record(url, plan) as record:
        before = run_tuning(plan, evaluate=by_parameters, record=record)
    best = sorted((t for t in before.trials if t.value is not None), key=lambda t: (t.value, t.number))[:4]
    jobs = [job for trial in before.trials for job in plan.trial_jobs(trial.number, trial.params)]
    fitted = {job.fingerprint for job in jobs}
    plan = a_plan(tmp_path, frame=today, warm_start=4)
    with open_record(url, plan) as record:
        after = run_tuning(plan, evaluate=by_parameters, record=record)
    assert [trial.params for trial in after.trials[:4]] == [trial.params for trial in best]
    assert after.warm_start.study == before.study_name
    assert len(after.warm_start.params) == 4
    # What is drawn behind them is nothing that yesterday's study drew.
    assert not [trial for trial in after.trials[4:] if trial.params in [each.params for each in before.trials]]
    # Of three folds two are those of yesterday.
    jobs = [job for trial in after.trials[:4] for job in plan.trial_jobs(trial.number, trial.params)]
    assert sum(job.fingerprint in fitted for job in jobs) == 8
    # What it started from is settled: a rerun takes the same, though a later study is there by now.
    other = a_plan(tmp_path, frame=today, seed=9)
    with open_record(url, other) as record:
        run_tuning(other, evaluate=by_parameters, record=record)
    with open_record(url, plan) as record:
        assert run_tuning(plan, evaluate=refuse, record=record) == after


def defaults(plan):
    return [plan.space.defaults(name) for name in plan.space.spaces]


def test_the_defaults_of_each_architecture_are_tried_first(tmp_path):
    plan = a_plan(tmp_path, model_name="lstm,gru", n_trials=6)
    trials = run_tuning(plan, evaluate=by_parameters).trials
    assert [trial.params for trial in trials[:2]] == defaults(plan)
    assert [trial.params["architecture"] for trial in trials[:2]] == ["gru", "lstm"]
    alone = run_tuning(a_plan(tmp_path, n_trials=3), evaluate=by_parameters).trials
    assert [trial.params for trial in alone].count(defaults(a_plan(tmp_path))[0]) == 1


def test_behind_a_warm_start_come_the_defaults_that_are_not_in_it(tmp_path):
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    longer = make_features(440)
    before = a_plan(tmp_path, frame=longer[:400], model_name="gru,lstm", n_trials=2)
    with open_record(url, before) as record:
        run_tuning(before, evaluate=by_parameters, record=record)
    # The earlier study's best trial had the defaults of one of the two.
    plan = a_plan(tmp_path, frame=longer, model_name="gru,lstm", n_trials=3, warm_start=1)
    with open_record(url, plan) as record:
        trials = run_tuning(plan, evaluate=by_parameters, record=record).trials
    first, second, third = (trial.params for trial in trials)
    assert {first["architecture"], second["architecture"]} == {"gru", "lstm"}
    assert all(params in defaults(plan) for params in (first, second))
    assert third not in defaults(plan)


def test_parameters_of_a_warm_start_are_clipped_to_what_fits(tmp_path):
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    longer = make_features(440)
    with open_record(url, a_plan(tmp_path, frame=longer[:400])) as record:
        run_tuning(a_plan(tmp_path, frame=longer[:400]), evaluate=by_parameters, workers=2, record=record)
        drawn = [trial.begun.params["input_chunk_length"] for trial in record.trials()]
    plan = replace(a_plan(tmp_path, frame=longer, warm_start=len(drawn)), longest_input=40)
    with open_record(url, plan) as record:
        taken = [params["input_chunk_length"] for params in record.warm_start.params]
    assert max(drawn) > 40
    assert taken
    assert set(taken) <= {min(length, 40) for length in drawn}
    assert max(taken) == 40


def test_without_an_earlier_study_a_warm_start_is_a_cold_one(tmp_path):
    plan = a_plan(tmp_path, warm_start=3)
    with open_record(f"sqlite:///{tmp_path / 'studies.db'}", plan) as record:
        result = run_tuning(plan, evaluate=by_parameters, record=record)
    assert (result.warm_start, len(result.trials)) == (WarmStart(), 24)


@pytest.mark.parametrize("rows", [400, 440])
def test_a_warm_start_learns_nothing_from_the_same_folds_or_later_ones(tmp_path, rows):
    # Parameters that were chosen on later rows would be a look ahead.
    url, longer = f"sqlite:///{tmp_path / 'studies.db'}", make_features(440)
    plan = a_plan(tmp_path, frame=longer[:rows])
    with open_record(url, plan) as record:
        run_tuning(plan, evaluate=by_parameters, record=record)
    with open_record(url, a_plan(tmp_path, frame=longer[:400], warm_start=3)) as record:
        assert record.warm_start == WarmStart()


@pytest.mark.parametrize("workers", [1, 3])
def test_a_budget_ends_a_study_after_a_prefix(tmp_path, workers):
    plan = a_plan(tmp_path, pruner="none")
    events = []
    budget = Budget(max_fold_fits=22)
    result = run_tuning(plan, evaluate=out_of_order(3), workers=workers, budget=budget, watcher=events.append)
    n_trials = len(result.trials)
    assert 5 <= n_trials <= 7
    assert (
        result.trials == run_tuning(a_plan(tmp_path, pruner="none", n_trials=n_trials), evaluate=by_parameters).trials
    )
    assert events[-1].fits == budget.fits == 22
    assert events[-1].stopped == "`max_fold_fits` 22 is spent"


def test_a_budget_that_is_spent_before_the_first_trial_is_said_with_what_is_pending(tmp_path):
    with pytest.raises(StudyError, match=r"none has ended: `timeout` 0 s is over; 1 pending; finished"):
        run_tuning(a_plan(tmp_path), evaluate=by_parameters, budget=Budget(timeout=0))


def score_but(fails: str, cut: tuple[str, ...] = ()):
    """Score as `by_parameters` does, but let this fold fail, and the budget be spent before those."""

    def score(job) -> FoldResult:
        if job.name in cut:
            raise BudgetSpentError("`timeout` 60 s is over")
        if job.name == fails:
            raise FitError("the loss is NaN")
        return by_parameters(job)

    return score


@pytest.mark.parametrize(
    ("fails", "cut", "ended"),
    [
        # The first trial is the slowest.
        ("", ("trial-0-fold-2",), (1, 2)),
        ("", ("trial-0-fold-2", "trial-1-fold-3"), (2,)),
        ("trial-0-fold-1", ("trial-1-fold-1",), (0, 2)),
    ],
)
def test_a_budget_that_cuts_the_first_trials_short_ends_with_the_best_whole_one_behind_them(
    tmp_path, fails, cut, ended
):
    plan, events = a_plan(tmp_path, pruner="none", max_pending_trials=3, n_trials=3), []
    alone = run_tuning(plan, evaluate=score_but(fails))
    with open_record(f"sqlite:///{tmp_path / 'studies.db'}", plan) as record:
        result = run_tuning(plan, evaluate=score_but(fails, cut), workers=3, record=record, watcher=events.append)
        assert result.trials == tuple(alone.trials[number] for number in ended)
        assert result.best_value == min(trial.value for trial in result.trials if trial.state == "complete")
        assert result.pending == len(cut) == 3 - len(ended)
        assert events[-1].stopped == "`timeout` 60 s is over"
        said = f"covers the {len(ended)} of 3 trials that ended, without {len(cut)} pending"
        assert said in run_summary(events[-1])
        assert run_tuning(plan, evaluate=score_but(fails), workers=3, record=record) == alone


def test_a_budget_that_leaves_no_trial_whole_says_how_many_have_ended_and_how_many_are_pending(tmp_path):
    plan = a_plan(tmp_path, pruner="none", n_trials=2, max_pending_trials=2)
    said = r"none of the 1 that ended is: .* is over; the last trial: the loss is NaN; 1 pending"
    with pytest.raises(StudyError, match=said):
        run_tuning(plan, evaluate=score_but("trial-0-fold-1", ("trial-1-fold-1",)), workers=2)


def test_stored_scores_cost_no_budget(tmp_path):
    result = run_tuning(
        a_plan(tmp_path), evaluate=by_parameters, through=lambda _: by_parameters, budget=Budget(timeout=0)
    )
    assert len(result.trials) == 24


def test_trials_are_told_in_their_order(tmp_path):
    told = []
    run_tuning(a_plan(tmp_path), evaluate=out_of_order(5), workers=4, watcher=told.append)
    assert [event.trial.number for event in told if isinstance(event, TrialFinished)] == list(range(24))


def test_failed_trials_are_the_same_on_any_number_of_workers(tmp_path):
    def fail_some_in_any_order(job) -> FoldResult:
        if job.fit.params["hidden_dim"] % 5 == 0:
            raise FitError("five does not fit")
        return out_of_order(1)(job)

    plan = a_plan(tmp_path)
    alone, together = (run_tuning(plan, evaluate=fail_some_in_any_order, workers=workers) for workers in (1, 4))
    assert alone == together
    assert {trial.reason for trial in alone.trials if trial.state == "failed"} == {"five does not fit"}


def fail(job) -> FoldResult:
    raise FitError("the library is broken")


def fail_some(job) -> FoldResult:
    return fail(job) if job.fit.params["hidden_dim"] % 5 == 0 else by_parameters(job)


@pytest.fixture
def environment(monkeypatch):
    """A function that lets code and packages be others from now on."""

    def change(name: str) -> None:
        monkeypatch.setattr("kallos.tuner.environment_sha256", lambda: name)

    change("broken")
    return change


@pytest.mark.parametrize("n_trials", [3, 24])
def test_a_study_whose_first_trials_failed_begins_anew_once_the_environment_is_mended(tmp_path, environment, n_trials):
    plan, url = a_plan(tmp_path, n_trials=n_trials), f"sqlite:///{tmp_path / 'studies.db'}"
    # What has failed is not tried again with the same code and packages, and the line says what to do.
    for evaluate in (fail, refuse):
        with (
            pytest.raises(StudyError, match=r"after code or packages change; to try at once, give `refresh_cache`"),
            open_record(url, plan) as record,
        ):
            run_tuning(plan, evaluate=evaluate, record=record)
    environment("mended")
    with open_record(url, plan) as record:
        assert run_tuning(plan, evaluate=by_parameters, record=record) == run_tuning(plan, evaluate=by_parameters)


def test_trials_behind_one_that_is_tried_again_are_those_of_the_study_in_which_it_never_failed(tmp_path, environment):
    plan, url = a_plan(tmp_path), f"sqlite:///{tmp_path / 'studies.db'}"
    cache, fitted, events = FoldCache(tmp_path / "cache"), [], []
    with open_record(url, plan) as record:
        broken = run_tuning(plan, evaluate=cache.through(fail_some), record=record, workers=3)
    failed = [trial.number for trial in broken.trials if trial.state == "failed"]
    assert failed[0] > 0
    known = {job.fingerprint for trial in broken.trials for job in plan.trial_jobs(trial.number, trial.params)}
    environment("mended")
    mended = cache.through(lambda job: fitted.append(job) or by_parameters(job))
    with open_record(url, plan) as record:
        whole = run_tuning(plan, evaluate=mended, record=record, watcher=events.append)
    assert whole == run_tuning(plan, evaluate=by_parameters)
    assert (events[0].recorded, events[0].again_from) == (failed[0], failed[0])
    assert f"trial {failed[0]} failed with other code or packages: running it and all later trials again" in "".join(
        opening(events[0])
    )
    # Folds that were scored are not fitted again; those of the trial that failed are.
    again = [job for job in fitted if job.fingerprint in known]
    assert again
    assert all(job.fit.params["hidden_dim"] % 5 == 0 for job in again)
    with open_record(url, plan) as record:
        assert run_tuning(plan, evaluate=refuse, record=record) == whole


def test_a_trial_that_fails_everywhere_is_the_same_failure_again(tmp_path, environment):
    plan, url = a_plan(tmp_path), f"sqlite:///{tmp_path / 'studies.db'}"
    with open_record(url, plan) as record:
        first = run_tuning(plan, evaluate=fail_some, record=record)
    environment("mended")
    with open_record(url, plan) as record:
        assert run_tuning(plan, evaluate=fail_some, record=record) == first
    with open_record(url, plan) as record:
        assert run_tuning(plan, evaluate=refuse, record=record) == first


def test_idle_workers_run_ahead_in_the_last_trial(tmp_path):
    together = threading.Barrier(3, timeout=20)

    def only_together(job) -> FoldResult:
        together.wait()
        return by_parameters(job)

    # Three folds of one trial are scored at once, or the barrier breaks.
    result = run_tuning(a_plan(tmp_path, n_trials=1), evaluate=only_together, workers=3)
    assert len(result.best.scores) == 3


@contextmanager
def held(url, plan):
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with open_record(url, plan):
            entered.set()
            leave.wait(20)

    with ThreadPoolExecutor(1) as thread:
        holder = thread.submit(hold)
        assert entered.wait(20)
        try:
            yield leave
        finally:
            leave.set()
            holder.result(20)


def urls(tmp_path, postgres_url):
    return {"sqlite": f"sqlite:///{tmp_path / 'studies.db'}", "postgresql": postgres_url}


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_two_runs_do_not_write_one_study(tmp_path, postgres_url, backend):
    url, plan = urls(tmp_path, postgres_url)[backend], a_plan(tmp_path)
    with held(url, plan) as leave:
        with (
            pytest.raises(StudyError, match=f"another run holds {plan.study_name}: .* `if_running` to wait"),
            open_record(url, plan, if_running="fail"),
        ):
            pass
        with pytest.raises(StudyError, match="another run holds"):
            check_record(url, plan, if_running="fail")
        check_record(url, plan, if_running="wait")
        # Another study is not concerned.
        with open_record(url, a_plan(tmp_path, seed=5), if_running="fail"):
            pass
        threading.Timer(0.3, leave.set).start()
        with open_record(url, plan, if_running="wait"):
            assert leave.is_set()


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_both_databases_record_the_same_study(tmp_path, postgres_url, backend):
    url, plan = urls(tmp_path, postgres_url)[backend], a_plan(tmp_path, n_trials=12, seed=77)
    half = a_plan(tmp_path, n_trials=7, seed=77)
    with open_record(url, half) as record:
        run_tuning(half, evaluate=by_parameters, workers=2, record=record)
    with open_record(url, plan) as record:
        assert run_tuning(plan, evaluate=by_parameters, record=record) == run_tuning(plan, evaluate=by_parameters)


def test_what_is_forgotten_is_computed_anew_from_the_same_start(tmp_path):
    url, cache = f"sqlite:///{tmp_path / 'studies.db'}", FoldCache(tmp_path / "cache")
    earlier = a_plan(tmp_path, seed=3, frame=make_features()[:390])
    with open_record(url, earlier) as record:
        run_tuning(earlier, evaluate=by_parameters, record=record)
    plan, fitted = a_plan(tmp_path, warm_start=2), []
    cached = cache.through(lambda job: fitted.append(job.fingerprint) or by_parameters(job))
    with open_record(url, plan) as record:
        first = run_tuning(plan, evaluate=cached, record=record)
    later = a_plan(tmp_path, seed=4, frame=make_features()[:390])
    with open_record(url, later) as record:
        run_tuning(later, evaluate=by_parameters, record=record)
    once = list(fitted)
    with open_record(url, plan) as record:
        forget(plan, record, cache)
        assert record.trials() == []
        assert cache.holdings().entries == 0
        assert run_tuning(plan, evaluate=cached, record=record) == first
    assert fitted == [*once, *once]


def kill_at(write: int) -> None:
    """Kill this process before its n-th write to a database, or its commit."""
    left = iter(range(write - 1, -1, -1))

    def count(*_) -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def look(connection, cursor, statement, *_) -> None:
        if statement.startswith(("DELETE", "INSERT", "UPDATE")):
            count()

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", look)
    sqlalchemy.event.listen(sqlalchemy.Engine, "commit", count)


def forget_and_be_killed(url, plan, write: int) -> None:
    with open_record(url, plan) as record:
        kill_at(write)
        record.forget_from(4)
        os._exit(0)


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_a_kill_while_trials_are_forgotten_loses_no_other_trial(tmp_path, postgres_url, backend):
    url = urls(tmp_path, postgres_url)[backend]
    plan = a_plan(tmp_path, n_trials=7, seed=900)

    def recorded():
        with open_record(url, plan) as record:
            return [trial.begun for trial in record.trials()]

    with open_record(url, plan) as record:
        run_tuning(plan, evaluate=by_parameters, record=record)
    before, forked, after = recorded(), multiprocessing.get_context("fork"), []
    while True:
        child = forked.Process(target=forget_and_be_killed, args=(url, plan, len(after) + 1))
        child.start()
        child.join(60)
        after.append(recorded())
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
    # All or nothing: trials and what hangs on them are several tables, and a commit.
    n_whole = after.count(before)
    assert n_whole > 5
    assert after[n_whole:] == [before[:4]] * (len(after) - n_whole)
    with open_record(url, plan) as record:
        run_tuning(plan, evaluate=by_parameters, record=record)
    assert [trial.value for trial in recorded()] == [trial.value for trial in before]


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_a_kill_while_trials_are_recorded_leaves_each_whole_or_not_there(tmp_path, postgres_url, backend):
    url, plan = urls(tmp_path, postgres_url)[backend], a_plan(tmp_path, n_trials=2, seed=901)
    whole, forked, left = run_tuning(plan, evaluate=by_parameters), multiprocessing.get_context("fork"), []
    while True:
        with open_record(url, plan) as record:
            record.forget_from(0)
        child = forked.Process(target=record_and_be_killed, args=(url, plan, len(left) + 1))
        child.start()
        child.join(60)
        assert child.exitcode in (0, -signal.SIGKILL)
        with open_record(url, plan) as record:
            trials = record.trials()
        for trial, same in zip(trials, whole.trials, strict=False):
            assert trial.begun.user_attrs["params"] == same.params
            assert trial.ended is None or (trial.ended.values, trial.n_scored) == ([same.value], 3)
        left.append([trial.ended is not None for trial in trials])
        if child.exitcode == 0:
            break
    # Two transactions a trial, with a commit each.
    assert sorted(left) == left
    assert [state for state, after in zip(left, [*left[1:], None], strict=True) if state != after] == [
        [],
        [False],
        [True],
        [True, False],
        [True, True],
    ]


def record_and_be_killed(url, plan, write: int) -> None:
    with open_record(url, plan) as record:
        kill_at(write)
        run_tuning(plan, evaluate=by_parameters, record=record)
        os._exit(0)


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_a_database_records_what_memory_does(tmp_path, postgres_url, backend):
    url, plan, in_memory = urls(tmp_path, postgres_url)[backend], a_plan(tmp_path, seed=78), StudyRecord()
    run_tuning(plan, evaluate=fail_some, record=in_memory)
    with open_record(url, plan) as record:
        run_tuning(plan, evaluate=fail_some, record=record)
        recorded = record.trials()
    parts = ("state", "values", "params", "distributions", "system_attrs", "intermediate_values")
    for each, same in zip(recorded, in_memory.trials(), strict=True):
        for part in parts:
            assert getattr(each.ended, part) == getattr(same.ended, part)
        assert each.ended.user_attrs == json.loads(json.dumps(same.ended.user_attrs))
    # Optuna reads the tables, too.
    storage = parse_storage_url(url).render_as_string(hide_password=False)
    study = optuna.load_study(study_name=plan.study_name, storage=storage)
    assert [trial.number for trial in study.trials] == list(range(24))
    assert [trial.state for trial in study.trials] == [trial.ended.state for trial in in_memory.trials()]
    assert all(trial.datetime_start <= trial.datetime_complete for trial in study.trials)


def test_a_record_in_memory_forgets_as_one_on_disk_does(tmp_path):
    plan = a_plan(tmp_path, n_trials=7)
    record = StudyRecord()
    run_tuning(plan, evaluate=by_parameters, record=record)
    before = [trial.ended.value for trial in record.trials()]
    record.forget_from(4)
    assert [trial.ended.value for trial in record.trials()] == before[:4]
    run_tuning(plan, evaluate=by_parameters, record=record)
    assert [trial.ended.value for trial in record.trials()] == before


def test_the_earlier_study_to_start_from_is_one_with_a_whole_trial(tmp_path):
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    frame = make_features()[:390]
    whole, empty = a_plan(tmp_path, frame=frame), a_plan(tmp_path, frame=frame, seed=3)
    plan = a_plan(tmp_path, warm_start=2)
    with open_record(url, whole) as record:
        run_tuning(whole, evaluate=by_parameters, record=record)
    with open_record(url, empty) as record, pytest.raises(StudyError):
        run_tuning(empty, evaluate=by_parameters, record=record, budget=Budget(max_fold_fits=1))
    with open_record(url, plan) as record:
        assert (record.warm_start.study, len(record.warm_start.params)) == (whole.study_name, 2)


def test_a_night_that_is_killed_and_run_again_is_a_prefix_of_the_study(tmp_path):
    plan, url = a_plan(tmp_path), f"sqlite:///{tmp_path / 'studies.db'}"
    calls = []

    def die(job):
        calls.append(job)
        if len(calls) == 17:
            raise OSError("the power is gone")
        return by_parameters(job)

    with open_record(url, plan) as record, pytest.raises(OSError, match="power"):
        run_tuning(plan, evaluate=die, record=record, more_trials=10)
    with open_record(url, plan) as record:
        ended = sum(trial.ended is not None for trial in record.trials())
        result = run_tuning(plan, evaluate=by_parameters, record=record, more_trials=10)
    # Ten more than had ended.
    assert len(result.trials) == ended + 10
    assert result.trials == run_tuning(plan, evaluate=by_parameters).trials[: ended + 10]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://", "must outlive this process"),
        ("mysql://root:hunter2@host/x", "must be SQLite or PostgreSQL"),
        ("postgresql://quant@127.0.0.1:9/x?password=hunter2", r"127\.0\.0\.1:9/x did not"),
        ("sqlite:////proc/studies.db", "must be writable: /proc/studies.db.locks"),
        ("sqlite:////nowhere/studies.db", "the folder of the study's storage must exist: create /nowhere"),
    ],
)
def test_a_storage_that_cannot_serve_is_one_clear_line_without_secrets(tmp_path, url, said):
    plan = a_plan(tmp_path)
    with pytest.raises(KallosError, match=said) as refused, open_record(url, plan):
        pass
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(KallosError, match=said):
        check_record(url, plan)


def test_a_storage_of_another_version_of_optuna_is_said(tmp_path):
    url, plan = f"sqlite:///{tmp_path / 'studies.db'}", a_plan(tmp_path)
    with open_record(url, plan):
        pass
    with sqlite3.connect(tmp_path / "studies.db") as connection:
        connection.execute("update alembic_version set version_num = 'v0.9.0.a'")
    with pytest.raises(DatabaseError, match="must match this version of Optuna"), open_record(url, plan):
        pass


def test_no_name_of_an_asset_leads_out_of_the_storages_folder(tmp_path):
    plan = a_plan(tmp_path, data={"asset_id": "/../../../x"})
    (tmp_path / "here").mkdir()
    with open_record(f"sqlite:///{tmp_path / 'here' / 'studies.db'}", plan, if_running="fail"):
        assert {path.name for path in tmp_path.iterdir()} == {"here", "snapshots"}


def test_a_record_in_memory_serves_where_none_is_given(tmp_path):
    plan = a_plan(tmp_path)
    record = StudyRecord()
    first = run_tuning(plan, evaluate=by_parameters, record=record)
    assert run_tuning(plan, evaluate=refuse, record=record) == first


@pytest.mark.parametrize("workers", [1, 3])
def test_what_pruning_spares_is_what_is_not_fitted(tmp_path, workers):
    events = []
    run_tuning(a_plan(tmp_path), evaluate=out_of_order(2), workers=workers, watcher=events.append)
    finished = events[-1]
    assert finished.spared > 0
    assert finished.fits + finished.spared == 24 * 3
