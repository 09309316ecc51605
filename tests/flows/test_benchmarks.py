"""What the benchmarks say when they are asked for what they do not measure, and what stands in for their fits."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import choosing, gru, lean_fits, scaling
from benchmarks.bench import Bench
from benchmarks.flow_run import result_of_error, trivial_result
from benchmarks.studies import rmse_of
from kallos.architectures.gru.layer import GRU
from kallos.cache import FoldCache
from kallos.scoring.fold import fit_fold
from kallos.tuner import run_tuning
from tests.samples import content_of, small_job, small_plan


@pytest.mark.parametrize("words", [["nope"], []])
def test_a_part_that_is_not_measured_is_one_line_that_names_those_that_are(words, monkeypatch):
    monkeypatch.setattr("sys.argv", ["benchmarks.scaling", *words])
    with pytest.raises(SystemExit, match=r"measures one of prefect, storage, cache, worker, not '(nope)?'$"):
        scaling.main()


def test_the_smallest_run_of_the_simulation_of_choosing_fills_its_tables(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["benchmarks.choosing", "1"])
    monkeypatch.setattr(choosing, "CASES", choosing.CASES[:1])
    monkeypatch.setenv("COLUMNS", "200")
    choosing.main()
    shown = capsys.readouterr().out
    assert shown.count("independent") == 3
    assert "nan" not in shown


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
    result = run_tuning(small_plan(tmp_path), evaluate=trivial_result)
    assert [trial.state for trial in result.trials] == ["complete"] * 3
    assert len({trial.value for trial in result.trials}) == 3


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
