"""The versions that a result depends on."""

import platform
import sys
from functools import cache
from importlib.metadata import version

_LIBRARIES = ("kallos", "darts", "torch", "optuna", "numpy", "pandas", "scikit-learn")
# Libraries that are imported by another name than they are installed by.
_MODULES = {"pytorch-lightning": "pytorch_lightning", "scikit-learn": "sklearn"}


@cache
def version_here(library: str) -> str:
    """Return the version of a library in this process, whatever is installed while it runs.

    It is that of what is loaded when it is first asked for, or else that of what is installed then.
    """
    loaded = sys.modules.get(_MODULES.get(library, library))
    return str(getattr(loaded, "__version__", None) or version(library))


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries here, by their names."""
    return {"python": platform.python_version(), **{name: version_here(name) for name in _LIBRARIES}}


def differences(then: dict[str, str], now: dict[str, str]) -> list[str]:
    """Return what differs, in words such as `torch 2.12.0 then, 2.13.0 now`."""
    return [
        f"{name} {then.get(name, 'absent')} then, {now.get(name, 'absent')} now"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]
