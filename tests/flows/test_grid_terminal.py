"""What many studies look like while they run."""

import io

import pytest
from rich.console import Console

from flows.grid_terminal import shown_studies


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_is_waited_for_is_seen_with_and_without_a_terminal(is_terminal):
    text = io.StringIO()
    with shown_studies(Console(file=text, force_terminal=is_terminal, width=100)) as shown:
        shown.say("runs of tune/adhoc: 1 running, 2 waiting for a worker")
    assert "1 running, 2 waiting for a worker" in text.getvalue()
