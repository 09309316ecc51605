"""What the benchmarks say when they are asked for what they do not measure."""

import pytest

from benchmarks import scaling


@pytest.mark.parametrize("words", [["nope"], []])
def test_a_part_that_is_not_measured_is_one_line_that_names_those_that_are(words, monkeypatch):
    monkeypatch.setattr("sys.argv", ["benchmarks.scaling", *words])
    with pytest.raises(SystemExit, match=r"measures one of prefect, storage, cache, worker, not '(nope)?'$"):
        scaling.main()
