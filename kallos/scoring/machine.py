"""The versions and the environment that results and failures depend on."""

import hashlib
import os
import platform
import sys
import sysconfig
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import kallos
from kallos.architectures.references import own_modules, text_as_loaded

_LIBRARIES = (
    *("kallos", "darts", "torch", "optuna", "numpy", "pandas", "scikit-learn"),
    *("lightgbm", "scipy", "holidays", "arch"),
)
# Libraries of extras.
_OPTIONAL = ("statsforecast",)
# What torch needs for each of its kinds of kernels, the fastest first, in NumPy's names of a processor's features.
_VECTOR_INSTRUCTIONS = {"AVX512": ("AVX512_SKX", "FMA3"), "AVX2": ("AVX2", "FMA3"), "DEFAULT": ()}
# Libraries whose import name differs from their package name.
_MODULES = {"pytorch-lightning": "pytorch_lightning", "scikit-learn": "sklearn"}
# Variables by which a user chooses among kernels whose bits differ.
_KERNELS = (
    *("MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "OPENBLAS_CORETYPE"),
    *("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_DISABLE_JIT"),
)


@cache
def version_here(library: str) -> str:
    """Return the version of a library that is loaded, or else installed, when this process first asks for it."""
    here = version(library)
    loaded = str(getattr(sys.modules.get(_MODULES.get(library, library)), "__version__", here))
    # Torch's wheels may name their build in the module alone, which another process has not loaded.
    return here if _without_build(loaded) == _without_build(here) else loaded


def _without_build(version: str) -> str:
    return version.partition("+")[0]


def installed_versions() -> dict[str, str]:
    """Return the versions of Python, of the libraries, and of those of extras that are installed, by name."""
    names = (*_LIBRARIES, *(name for name in _OPTIONAL if installed(name) is not None))
    return {"python": platform.python_version(), **{name: version_here(name) for name in names}}


@cache
def environment_sha256() -> str:
    """Return the hash of everything but its job that may make a fold fail, when this process first asks for it.

    It covers Python's version and ABI, the versions of all installed packages, the text of Kallos, and the text, as
    loaded, of other modules, such as custom architectures and their imports. It leaves out the operating system, whose
    frequent updates rarely fix a fit. Scores do not depend on it.
    """
    digest = hashlib.sha256(f"{platform.python_version()} {sysconfig.get_config_var('SOABI')}".encode())
    folders = [Path(folder) for folder in sys.path]
    # Names such as `darts-0.48.1.dist-info`.
    for name in sorted({path.name for folder in folders for path in folder.glob("*.*-info")}):
        digest.update(name.encode())
    for file in sorted({*Path(kallos.__file__).parent.rglob("*.py"), *own_modules(sys.modules)}):
        digest.update(text_as_loaded(file))
    return digest.hexdigest()


def differences(one: Mapping[str, Any], other: Mapping[str, Any], places: tuple[str, str]) -> list[str]:
    """Return the differences between two places or times, such as `torch 2.12.0 then, 2.13.0 now`."""
    return [
        f"{name} {one.get(name, 'missing')} {places[0]}, {other.get(name, 'missing')} {places[1]}"
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    ]


@cache
def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # The import name of a custom package may differ from its package name.
        return None


@cache
def machine() -> dict[str, Any]:
    """Return what the bits of a fit depend on besides its job, without importing what fits."""
    libraries = ("darts", "lightgbm", "numpy", "pytorch-lightning", "scikit-learn", "scipy", "torch")
    kernels = {name: os.environ[name] for name in _KERNELS if name in os.environ}
    versions = {name: version_here(name) for name in libraries}
    return {**versions, **kernels, "device": "cpu", "cpu": _vector_instructions()}


def _vector_instructions() -> str:
    """Return the vector instructions that torch chooses on this processor, by its name for them."""
    asked = os.environ.get("ATEN_CPU_CAPABILITY", "").upper()
    if asked in _VECTOR_INSTRUCTIONS:
        return asked
    # Where `numpy.show_runtime` finds them.
    features: Mapping[str, bool] = import_module("numpy._core._multiarray_umath").__cpu_features__
    found = (name for name, needed in _VECTOR_INSTRUCTIONS.items() if all(features.get(each) for each in needed))
    return next(found)
