"""Study files, read and merged with flags before they are validated."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kallos.errors import UsageError


def read_study_file(path: Path) -> dict[str, Any]:
    """Return the content of a TOML study file, not yet validated.

    `data.query_file`, relative to the study file, is replaced by `data.query` with its text, so that the study does not
    depend on this machine's files. Raises `UsageError` if a file cannot be read or parsed.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"a study file must be readable: {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"a study file must be TOML: {path}: {error}") from None
    data = values.get("data")
    if isinstance(data, dict) and isinstance(data.get("query_file"), str):
        if "query" in data:
            raise UsageError(f"a study has one query: remove data.query or data.query_file from {path}")
        data["query"] = read_query_file(path.parent / data.pop("query_file"))
    return values


def read_query_file(path: Path) -> str:
    """Return the text of an SQL file, not yet validated. Raises `UsageError` if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"a query file must be readable: {path}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"a query file must be UTF-8 text: {path}: {error}") from None


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` updated with `over`, tables merged key by key."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged
