"""Search spaces as data: what the values of each parameter are drawn from.

A space maps the names of parameters, in the order in which they are drawn, to `Int`, `Float`, `Categorical`,
`Constant` or `Product`. A study file writes them as tables.
"""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, model_validator

if TYPE_CHECKING:
    from optuna import Trial


def _scalar(value: object) -> object:
    if not isinstance(value, bool | int | float | str) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("must be a number, text, true or false")
    return value


Scalar = Annotated[bool | int | float | str, PlainValidator(_scalar)]
Whole = Annotated[int, Field(strict=True)]
Switch = Annotated[bool, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class When(_Data):
    """A condition on a parameter that is drawn before: its value is above or below a bound, or among some values."""

    parameter: str
    above: Number | None = None
    below: Number | None = None
    among: tuple[Scalar, ...] | None = None

    @model_validator(mode="after")
    def _has_one_test(self) -> Self:
        if sum(test is not None for test in (self.above, self.below, self.among)) != 1:
            raise ValueError("must have one of above, below and among")
        if self.among == ():
            raise ValueError("must have at least one value in among")
        return self

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether the values that have been drawn meet the condition."""
        value = values[self.parameter]
        if self.among is not None:
            return value in self.among
        return bool(value > self.above if self.above is not None else value < self.below)


class _Drawn(_Data):
    """A parameter that a trial draws, or sets to `otherwise` if its condition does not hold."""

    when: When | None = None
    otherwise: Scalar | None = None

    @model_validator(mode="after")
    def _condition_is_whole(self) -> Self:
        if (self.when is None) != (self.otherwise is None):
            raise ValueError("must have both 'when' and 'otherwise', or neither")
        return self

    def suggest(self, name: str, trial: "Trial") -> Any:
        """Draw a value from a trial, under this name."""
        raise NotImplementedError

    def ends(self) -> tuple[Any, ...]:
        """Return the lowest and the highest value, or all choices."""
        raise NotImplementedError

    def nearest(self, value: Any) -> Any:
        """Return the value that can be drawn and is nearest to this one."""
        raise NotImplementedError


class Int(_Drawn):
    """A whole number from `low` to `high` (included), in steps; `log` draws its logarithm evenly."""

    type: Literal["int"] = "int"
    low: Whole
    high: Whole
    log: Switch = False
    step: Annotated[int, Field(strict=True, ge=1)] = 1

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        _refuse_no_range(self.low, self.high)
        if self.log and self.low < 1:
            raise ValueError(f"must have a low of 1 or more for log, not {self.low}")
        if self.log and self.step != 1:
            raise ValueError("must have log or step, not both")
        return self

    def suggest(self, name: str, trial: "Trial") -> int:
        """Draw a value from a trial, under this name."""
        return trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log)

    def ends(self) -> tuple[int, ...]:
        """Return the lowest and the highest value."""
        return self.low, self.low + (self.high - self.low) // self.step * self.step

    def nearest(self, value: float) -> int:
        """Return the value that can be drawn and is nearest to this one."""
        low, high = self.ends()
        return min(max(low + round((value - low) / self.step) * self.step, low), high)


class Float(_Drawn):
    """A number from `low` to `high` (included); `log` draws its logarithm evenly."""

    type: Literal["float"] = "float"
    low: Number
    high: Number
    log: Switch = False
    step: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        _refuse_no_range(self.low, self.high)
        if self.log and self.low <= 0:
            raise ValueError(f"must have a low above 0 for log, not {self.low}")
        if self.log and self.step is not None:
            raise ValueError("must have log or step, not both")
        return self

    def suggest(self, name: str, trial: "Trial") -> float:
        """Draw a value from a trial, under this name."""
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def ends(self) -> tuple[float, ...]:
        """Return the lowest and the highest value."""
        if self.step is None:
            return self.low, self.high
        return self.low, self.low + math.floor((self.high - self.low) / self.step + 1e-9) * self.step

    def nearest(self, value: float) -> float:
        """Return the value that can be drawn and is nearest to this one."""
        low, high = self.ends()
        step = self.step
        return float(min(max(value if step is None else low + round((value - low) / step) * step, low), high))


class Categorical(_Drawn):
    """One of some choices, without an order."""

    type: Literal["categorical"] = "categorical"
    choices: tuple[Scalar, ...]

    @model_validator(mode="after")
    def _choices_differ(self) -> Self:
        if not self.choices:
            raise ValueError("must have at least one choice")
        if len(set(self.choices)) < len(self.choices):
            raise ValueError(f"must have distinct choices, not {list(self.choices)}")
        return self

    def suggest(self, name: str, trial: "Trial") -> Any:
        """Draw a choice from a trial, under this name."""
        return trial.suggest_categorical(name, list(self.choices))

    def ends(self) -> tuple[Any, ...]:
        """Return all choices."""
        return self.choices

    def nearest(self, value: Any) -> Any:
        """Return the value if it is a choice, else the nearest number among them, else the first choice."""
        if value in self.choices:
            return value
        numbers = [choice for choice in self.choices if type(choice) in (int, float)]
        if not numbers or type(value) not in (int, float):
            return self.choices[0]
        return min(numbers, key=lambda choice: abs(choice - value))


class Constant(_Data):
    """A fixed value."""

    type: Literal["constant"] = "constant"
    value: Scalar


class Product(_Data):
    """The product of parameters that are drawn before, such as the number of heads times the width of a head."""

    type: Literal["product"] = "product"
    of: Annotated[tuple[str, ...], Field(min_length=1)]


Drawn = Int | Float | Categorical
Parameter = Drawn | Constant | Product
Space = Mapping[str, Parameter]
KINDS: Mapping[str, type[Parameter]] = {
    "int": Int,
    "float": Float,
    "categorical": Categorical,
    "constant": Constant,
    "product": Product,
}


def resolve(space: Space, choose: Callable[[str, Drawn], Any]) -> dict[str, Any]:
    """Return a value for each parameter, in order; `choose` gives those that are drawn and whose condition holds."""
    values: dict[str, Any] = {}
    for name, parameter in space.items():
        match parameter:
            case Constant(value=value):
                values[name] = value
            case Product(of=factors):
                values[name] = math.prod(values[factor] for factor in factors)
            case Int() | Float() | Categorical():
                holds = parameter.when is None or parameter.when.holds(values)
                values[name] = choose(name, parameter) if holds else parameter.otherwise
    return values


def draw(space: Space, trial: "Trial", prefix: str = "") -> dict[str, Any]:
    """Draw a value for each parameter of a space from a trial, under its name with the prefix."""
    return resolve(space, lambda name, parameter: parameter.suggest(f"{prefix}{name}", trial))


def with_factors(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return resolved values, with factors of products that are not parameters of the model."""
    whole = dict(values)
    for name, parameter in space.items():
        if not isinstance(parameter, Product):
            continue
        missing = [factor for factor in parameter.of if factor not in whole]
        if len(missing) == 1:
            whole[missing[0]] = values[name] // math.prod(whole[each] for each in parameter.of if each in whole)
    return whole


def corners(space: Space) -> list[dict[str, Any]]:
    """Return parameter sets: all ranges at their low end, all at their high end, and one for each choice."""
    ends = {name: parameter.ends() for name, parameter in space.items() if isinstance(parameter, _Drawn)}
    low = resolve(space, lambda name, _: ends[name][0])
    high = resolve(space, lambda name, _: ends[name][-1])

    def with_choice(at: str, choice: Any) -> dict[str, Any]:
        return resolve(space, lambda name, _: choice if name == at else ends[name][0])

    others = [with_choice(name, choice) for name, choices in ends.items() for choice in choices[1:]]
    return [low, high, *others]


def looked_at(parameter: Parameter) -> tuple[str, ...]:
    """Return the parameters on which a product or a condition depends."""
    if isinstance(parameter, Product):
        return parameter.of
    return (parameter.when.parameter,) if isinstance(parameter, _Drawn) and parameter.when else ()


def misplaced(space: Space) -> tuple[str, str] | None:
    """Return the first parameter that depends on one that is not drawn before it, and the latter."""
    before: set[str] = set()
    for name, parameter in space.items():
        for other in looked_at(parameter):
            if other not in before:
                return name, other
        before.add(name)
    return None


def extent(space: Space, name: str) -> tuple[Any, ...]:
    """Return the lowest and highest values that a parameter can have, or all choices."""
    parameter = space[name]
    match parameter:
        case Constant(value=value):
            return (value,)
        case Product(of=factors):
            outermost = [(min(ends), max(ends)) for ends in (extent(space, factor) for factor in factors)]
            return tuple(sorted({math.prod(values) for values in itertools.product(*outermost)}))
        case Int() | Float() | Categorical():
            return parameter.ends() if parameter.when is None else (*parameter.ends(), parameter.otherwise)


def uncountable(space: Space, name: str) -> str | None:
    """Return what is wrong with a product or comparison of values that are not numbers, or None."""
    parameter = space[name]
    when = parameter.when if isinstance(parameter, _Drawn) else None
    if not isinstance(parameter, Product) and (when is None or when.among is not None):
        return None
    for other in looked_at(parameter):
        strange = [value for value in extent(space, other) if type(value) not in (int, float)]
        if strange:
            words = "be a product of numbers" if when is None else "have 'among' in its condition, not above or below"
            return f"must {words}: {other!r} may be {strange[0]!r}"
    return None


def can_be(space: Space, name: str, value: Scalar) -> bool:
    """Return whether a parameter may have a value, ignoring steps and the factors of products."""
    parameter, ends = space[name], extent(space, name)
    if any(value == end and (type(value) is bool) == (type(end) is bool) for end in ends):
        return True
    if isinstance(parameter, Constant | Categorical) or isinstance(value, bool | str):
        return False
    reach = parameter.ends() if isinstance(parameter, _Drawn) else ends
    return bool(min(reach) <= value <= max(reach)) and (type(value) is int or isinstance(parameter, Float | Product))


def _refuse_no_range(low: float, high: float) -> None:
    if low > high:
        raise ValueError(f"must have a low that is at most its high, and {low} is above {high}")
