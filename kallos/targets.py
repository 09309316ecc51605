"""What is forecast, in words: a target's name, or those of several."""

from collections.abc import Iterable


def target_label(target: str | Iterable[str]) -> str:
    """Return the name of a target, or the names of several."""
    return target if isinstance(target, str) else ", ".join(target)
