"""Formats numbers, dates, names, skills and targets for users."""

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib.metadata import requires
from typing import Any, Literal

# What a skill is: a share of the other's score, or the difference of the scores.
SkillIs = Literal["share", "difference"]

# A difference that is smaller is rounding error.
_ROUNDING = 1e-12


def pip_install(package: str) -> str:
    """Return the command that installs the requirements of the extra of that name, or else the package itself."""
    lines = (line.partition(";") for line in requires("kallos") or ())
    of_extra = sorted(
        name.strip() for name, _, marker in lines if re.search(rf"extra == .{re.escape(package)}.$", marker)
    )
    return " ".join(["pip install", *map(shlex.quote, of_extra or [package])])


def signed(skill: float | None, skill_is: SkillIs) -> str:
    """Return a skill with its sign, `+4.20%` or `+0.0123` (zero without one), or an empty text for None."""
    if skill is None:
        return ""
    text = _figures(abs(skill), skill_is)
    return text if _is_zero(text) else f"{'+' if skill > 0 else '-'}{text}"


def skill_text(skill: float, skill_is: SkillIs) -> str:
    """Return a skill for a page, with a true minus sign: `4.20%`, or the difference `+0.0123` with its sign."""
    if skill_is == "share":
        return percent(skill)
    return signed(skill, skill_is).replace("-", "\u2212")


def skill_tick(skill: float, skill_is: SkillIs) -> str:
    """Return a skill at an axis, with as few digits as needed."""
    return percent(skill, digits=None) if skill_is == "share" else f"{round(skill, 9):g}".replace("-", "\u2212")


def compared_to(skill: float, other: str, skill_is: SkillIs) -> str:
    """Compare a forecaster to another in words: `4.20% better than zero`, or `0.0123 better than zero`."""
    text = _figures(abs(skill), skill_is)
    if _is_zero(text):
        return f"as good as {other}"
    return f"{text} {'better' if skill > 0 else 'worse'} than {other}"


def _figures(size: float, skill_is: SkillIs) -> str:
    """Return the size of a skill: a share in percent, a difference with three significant digits."""
    return f"{size:.2%}" if skill_is == "share" else f"{size if size > _ROUNDING else 0:.3g}"


def _is_zero(text: str) -> bool:
    return float(text.rstrip("%")) == 0


def target_label(target: str | Iterable[str]) -> str:
    """Return the name of a target, or the joined names of several."""
    return target if isinstance(target, str) else ", ".join(target)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun in the singular or plural."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def short(value: object) -> str:
    """Return a parameter with at most 4 significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def day(moment: object) -> str:
    """Return a row's timestamp, or only its date if it is midnight."""
    return str(moment).replace("T", " ").removesuffix(" 00:00:00")


def percent(share: float, digits: int | None = 2) -> str:
    """Return a share in percent with a true minus sign; `digits=None` means as few as needed."""
    text = f"{100 * share:.{digits}f}" if digits is not None else f"{round(100 * share, 6):g}"
    text = text.replace("-", "" if float(text) == 0 else "\u2212")
    return f"{text}%"


def flattened(fields: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the fields of nested mappings with names such as `data.asset_id`."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the closest known word, and list the known words."""
    words = sorted(known)
    by_folded = {each.casefold(): each for each in words}
    close = [by_folded[each] for each in get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.5)]
    choices = f"there are {shorten(words, 12)}" if words else "there are none"
    return f"did you mean {close[0]!r}? ({choices})" if close else choices


def shorten(items: Sequence[object], most: int = 5) -> str:
    """Join the first few items, and count the others."""
    shown = ", ".join(str(item) for item in items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most} more"


def pasteable(name: str) -> str:
    """Return a column's name for pasting into a study file: quoted as in TOML unless it is one plain word.

    White space that would not survive on a line of text is escaped.
    """
    if re.fullmatch(r"[\w.-]+", name):
        return name
    quoted = json.dumps(name, ensure_ascii=False)
    return re.sub(r"[^\S ]|\x7f|(?<= ) ", lambda blank: f"\\u{ord(blank[0]):04x}", quoted)


def scrubbed(message: str) -> str:
    """Return a message without the user names and passwords of URLs.

    A password may contain a raw @, so everything up to the last @ before the next URL, or in the line, is removed.
    """
    login = r"//[^/\s:]*:"
    return re.sub(rf"{login}(?:(?!\s[\w+.-]+://).)*@|{login}.*@", "//***@", message)
