"""What a run's progress looks like, with a bar and without."""

from io import StringIO

import pytest
from rich.console import Console

from flows.terminal import shown_progress
from kallos.events import StepStarted


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_comes_behind_the_study_is_a_line_each(is_terminal):
    console = Console(width=80, file=StringIO(), force_terminal=is_terminal)
    with shown_progress(console) as shown:
        shown(StepStarted("confirming trial 3 on 15 folds"))
        shown(StepStarted("training 3 networks"))
    lines = [line.removeprefix("\x1b[2K") for line in console.file.getvalue().splitlines()]
    assert [line for line in lines if line.endswith(("folds", "networks"))] == [
        "confirming trial 3 on 15 folds",
        "training 3 networks",
    ]
