"""The input lengths of an architecture, and its space clipped to the rows of a study."""

from typing import Any

from kallos.architectures.space import Categorical, Constant, Float, Int, Parameter, Product, Space

INPUT = "input_chunk_length"


def shortest_input(space: Space) -> int:
    """Return the smallest `input_chunk_length` that a space draws, in rows."""
    return int(min(_ends(space[INPUT])))


def longest_input(space: Space) -> int:
    """Return the largest `input_chunk_length` that a space draws, in rows."""
    return int(max(_ends(space[INPUT])))


def clipped(space: Space, longest: int) -> Space:
    """Return the space without an `input_chunk_length` above `longest` rows; the shortest must fit."""
    parameter = space[INPUT]
    match parameter:
        case Int(high=high):
            parameter = parameter.model_copy(update={"high": min(high, longest)})
        case Categorical(choices=choices):
            fit = tuple(choice for choice in choices if int(choice) <= longest)
            parameter = parameter.model_copy(update={"choices": fit})
    return {**space, INPUT: parameter}


def longer_than(space: Space, rows: int) -> Space | None:
    """Return the space with only an `input_chunk_length` above `rows`, or None if it has none."""
    if longest_input(space) <= rows:
        return None
    parameter = space[INPUT]
    match parameter:
        case Int(low=low, step=step) if low <= rows:
            parameter = parameter.model_copy(update={"low": low + -(-(rows + 1 - low) // step) * step})
        case Categorical(choices=choices):
            fit = tuple(choice for choice in choices if int(choice) > rows)
            parameter = parameter.model_copy(update={"choices": fit})
    return {**space, INPUT: parameter}


def nearest_input(space: Space, length: int) -> int:
    """Return the longest `input_chunk_length` of a space up to `length`."""
    parameter = space[INPUT]
    match parameter:
        case Categorical(choices=choices):
            return max(int(choice) for choice in choices if int(choice) <= length)
        case Int(low=low, step=step):
            top = min(length, longest_input(space))
            return low + (top - low) // step * step
        case _:
            return shortest_input(space)


def _ends(parameter: Parameter) -> tuple[Any, ...]:
    match parameter:
        case Constant(value=value):
            return (value,)
        case Int() | Float() | Categorical():
            return parameter.ends()
        case Product():
            raise NotImplementedError(f"{INPUT} must be drawn or constant")
