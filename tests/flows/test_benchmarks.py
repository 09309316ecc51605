"""Benchmarks of speed: what they say, what stands in for fits, and the smallest run of those that need no server."""

import json
import tomllib

import numpy as np
import pandas as pd
import pytest

from benchmarks import __main__ as main
from benchmarks import gru, lean_fits, scaling
from benchmarks.bench import Bench, keep
from benchmarks.flow_run import result_of_error, trivial_result, without_fits
from benchmarks.studies import STUDIES, rmse_of, spec_of, study_file
from kallos.architectures import registry
from kallos.architectures.gru.layer import GRU
from kallos.cache import FoldCache
from kallos.scoring.fold import fit_fold
from kallos.specs.study import parse_tune_spec
from kallos.tuner import run_tuning
from tests.samples import content_of, small_job, small_plan


@pytest.mark.parametrize("words", [["nope"], []])
def test_a_part_that_is_not_measured_is_one_line_that_names_those_that_are(words, monkeypatch):
    monkeypatch.setattr("sys.argv", ["benchmarks.scaling", *words])
    with pytest.raises(SystemExit, match=r"measures one of prefect, storage, cache, worker, not '(nope)?'$"):
        scaling.main()


def test_a_measurement_that_is_not_there_is_refused_before_anything_runs(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["benchmarks", "cached", "nope"])
    with pytest.raises(SystemExit):
        main.main()
    assert "NAME must be one of btc, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("bound", "text", "reached"),
    [
        ({"at_least": 2}, "2 or more", True),
        ({"at_least": 2.1}, "2.1 or more", False),
        ({"at_most": 1.9}, "1.9 or less", False),
        ({"at_most": 2}, "2 or less", True),
        ({}, "reported", None),
    ],
)
def test_a_figure_is_held_against_what_is_to_be_reached(bound, text, reached, tmp_path):
    bench = Bench(tmp_path)
    bench.note("a figure", 2.0, **bound, seconds=3)
    expected = {"figure": "a figure", "value": 2.0, "target": text, "reached": reached, "seconds": 3}
    assert bench.figures == [expected]
    (row,) = zip(*(column.cells for column in main.table_of(bench).columns), strict=True)
    assert row == ("a figure", "2", text, {True: "yes", False: "no", None: ""}[reached])


def test_figures_that_are_measured_again_replace_those_before(tmp_path):
    path = tmp_path / "results.json"
    keep([{"figure": "a", "value": 1}, {"figure": "b", "value": 1}], {"cores": 1}, path)
    keep([{"figure": "b", "value": 2}], {"cores": 2}, path)
    found = json.loads(path.read_text())
    assert found == {"machine": {"cores": 2}, "figures": [{"figure": "a", "value": 1}, {"figure": "b", "value": 2}]}


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_file_holds_the_study(study):
    over = {"n_trials": 3, "folds": {"n_folds": 1}, "model_name": "ridge"}
    assert parse_tune_spec(tomllib.loads(study_file(study, **over))) == spec_of(study, **over)


def test_the_smallest_run_of_the_compiled_gru_fills_its_table(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["benchmarks.gru", "1"])
    monkeypatch.setattr(gru, "CASES", [(2, 3, 4, 2)])
    gru.main()
    shown = capsys.readouterr().out
    assert "2 x 3 x 4 x 2" in shown
    assert "nan" not in shown


@pytest.mark.parametrize("over", [{}, {"horizon": 3, "likelihood": "quantile"}])
def test_what_stands_in_for_a_fit_has_the_error_that_was_asked_for_and_is_kept_as_any_fold(tmp_path, over):
    job, cache = small_job(tmp_path, **over), FoldCache(tmp_path / "cache")
    result = result_of_error(job, 0.25)
    assert rmse_of(job, result) == 0.25
    cache.write(job.fingerprint, result)
    assert content_of(job, cache.read(job.fingerprint)) == content_of(job, result)


def test_a_study_without_fits_is_a_study(tmp_path):
    with without_fits()() as pool:
        result = run_tuning(small_plan(tmp_path), evaluate=pool.evaluate)
    assert [trial.state for trial in result.trials] == ["complete"] * 3
    assert len({trial.value for trial in result.trials}) == 3
    assert trivial_result(small_job(tmp_path)).fit.seconds == 0


def test_every_network_has_a_target():
    assert lean_fits.TARGETS.keys() == {name for name, each in registry().items() if each.stops_early}


def test_the_smallest_run_of_lean_fits_fits_every_way_and_notes_the_ratio(tmp_path):
    rows = pd.DataFrame({"OT": np.random.default_rng(0).normal(size=700)})
    bench = Bench(tmp_path, repeats=1)
    lean_fits.every_model(bench, rows, ["gru"], epochs=1)
    (figure,) = bench.figures
    assert figure["figure"].endswith(": gru")
    assert figure["value"] == figure["lightning_seconds"] / figure["kallos_seconds"] > 0
    table = lean_fits.table_of([lean_fits.in_turn("nlinear", rows, repeats=1, epochs=1)])
    assert all(float(cell) > 0 for column in table.columns[1:4] for cell in column.cells)


@pytest.mark.parametrize(("plainly", "is_ours"), [(True, False), (False, True)])
def test_lightning_has_torchs_gru_where_a_user_of_darts_has_it(plainly, is_ours, tmp_path):
    with lean_fits.by_lightning(plainly=plainly):
        fitted = fit_fold(small_job(tmp_path, training={"max_epochs": 1}))
    assert isinstance(fitted.model.trainer, lean_fits.Lightning)
    assert isinstance(fitted.model.model.rnn, GRU) is is_ours


def said(capsys) -> list[dict[str, float]]:
    """Return what a measurement of `scaling` has printed."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_smallest_run_of_storage_says_what_a_trial_costs(tmp_path, capsys):
    scaling.storage(tmp_path, None, trials=2)
    (figures,) = said(capsys)
    assert figures["trials"] == 2
    assert figures["ms_per_trial_in_memory"] > 0


def test_the_smallest_run_of_the_cache_writes_and_reads_in_both_ways(tmp_path, capsys):
    scaling.cache(tmp_path, None, n_entries=3)
    folder, url = said(capsys)
    assert (folder["cache"], url["cache"]) == ("folder", "file URL")
    # The same entries.
    assert folder["bytes_per_entry"] == url["bytes_per_entry"] > 0
