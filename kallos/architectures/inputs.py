"""How long an architecture's input may be: found out, and clipped to the rows that a study has."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from kallos.architectures.recipe import Architecture

if TYPE_CHECKING:
    from optuna import Trial

INPUT = "input_chunk_length"


def shortest_input(architecture: Architecture) -> int:
    """Return the smallest `input_chunk_length` that an architecture draws, in rows."""
    shortest: int = architecture.suggest(cast("Trial", _LowestTrial()))[INPUT]
    return shortest


def suggest_within(architecture: Architecture, trial: "Trial", longest_input: int | None) -> dict[str, Any]:
    """Draw a full set of parameters of which `input_chunk_length` is at most `longest_input` rows, if that is given."""
    if longest_input is None:
        return architecture.suggest(trial)
    return architecture.suggest(cast("Trial", _ClippedTrial(trial, longest_input)))


class _LowestTrial:
    """Draws the low end of every range, and the first of all choices."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return low

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return low

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return choices[0]


class _ClippedTrial:
    """Draws from a trial, input lengths from the lower part of their range alone."""

    def __init__(self, trial: "Trial", longest_input: int) -> None:
        self._trial = trial
        self._longest = longest_input

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        top = min(high, self._longest) if name == INPUT else high
        return self._trial.suggest_int(name, low, top, step=step, log=log)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return self._trial.suggest_float(name, low, high, step=step, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._trial.suggest_categorical(name, choices)
