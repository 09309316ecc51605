"""What the benchmarks say when they are asked for what they do not measure."""

import pytest

from benchmarks import choosing, scaling


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
