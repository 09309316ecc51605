"""The versions that a result depends on, and whatever else a failure may come from."""

import hashlib
import platform
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import kallos
from kallos.architectures.references import own_modules, text_as_loaded

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


@cache
def environment_sha256() -> str:
    """Return the hash of what else a fold may fail by than its job, as it is when it is first asked for.

    That is Python, by its version and ABI, every installed package by its version, the text of Kallos, and that of the
    modules which are loaded from elsewhere, as it was when they were: of a custom architecture, and of what that
    imports. The operating system is not in it, since its updates are many and mend few fits. It is no part of what a
    score depends on.
    """
    digest = hashlib.sha256(f"{platform.python_version()} {sysconfig.get_config_var('SOABI')}".encode())
    for name in sorted(set(_installed_packages())):
        digest.update(name.encode())
    for file in sorted({*Path(kallos.__file__).parent.rglob("*.py"), *own_modules(sys.modules)}):
        digest.update(text_as_loaded(file))
    return digest.hexdigest()


def _installed_packages() -> Iterator[str]:
    """Yield names such as `darts-0.48.1.dist-info`."""
    for folder in map(Path, sys.path):
        for pattern in ("*.dist-info", "*.egg-info"):
            yield from (path.name for path in folder.glob(pattern))


def differences(one: Mapping[str, Any], other: Mapping[str, Any], places: tuple[str, str]) -> list[str]:
    """Return what differs at two places or times, in words such as `torch 2.12.0 then, 2.13.0 now`."""
    return [
        f"{name} {one.get(name, 'missing')} {places[0]}, {other.get(name, 'missing')} {places[1]}"
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    ]


@cache
def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # A custom package that is imported by another name than it is installed by.
        return None


@cache
def machine() -> dict[str, Any]:
    """Return what the bits of a fit depend on beside its job."""
    import torch

    libraries = ("darts", "numpy", "pytorch-lightning", "scikit-learn")
    return {
        **{name: version_here(name) for name in libraries},
        "torch": str(torch.__version__),
        "device": "cpu",
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
