"""The versions that a result depends on."""

import platform
from importlib.metadata import version

_LIBRARIES = ("kallos", "darts", "torch", "optuna", "numpy", "pandas", "scikit-learn")


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries here, by their names."""
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}


def differences(then: dict[str, str], now: dict[str, str]) -> list[str]:
    """Return what differs, in words such as `torch 2.12.0 then, 2.13.0 now`."""
    return [
        f"{name} {then.get(name, 'absent')} then, {now.get(name, 'absent')} now"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]
