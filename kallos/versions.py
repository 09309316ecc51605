"""The versions that a result depends on, and whatever else a failure may come from."""

import hashlib
import platform
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

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

    That is Python, every installed package by its version, the text of Kallos, and that of the modules which are loaded
    from elsewhere: of one's own architecture, and of what that imports. It is no part of what a score depends on.
    """
    digest = hashlib.sha256(f"{sys.version} {platform.platform()}".encode())
    for name in sorted(set(_installed_packages())):
        digest.update(name.encode())
    for file in sorted({*Path(__file__).parent.rglob("*.py"), *_own_modules()}):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _installed_packages() -> Iterator[str]:
    """Yield names such as `darts-0.48.1.dist-info`."""
    for folder in map(Path, sys.path):
        for pattern in ("*.dist-info", "*.egg-info"):
            yield from (path.name for path in folder.glob(pattern))


def _own_modules() -> Iterator[Path]:
    """Yield the files of loaded modules that belong to no installed package, nor to Python."""
    of_python = Path(sysconfig.get_path("stdlib")).resolve()
    for name, module in list(sys.modules.items()):
        file = Path(getattr(module, "__file__", None) or "").resolve()
        is_installed = of_python in file.parents or not {"site-packages", "dist-packages"}.isdisjoint(file.parts)
        # What runs a study is no part of it: any command carries it on.
        is_source = file.suffix == ".py" and file.is_file()
        if is_source and not is_installed and name.partition(".")[0] not in ("kallos", "flows", "__main__"):
            yield file


def differences(then: dict[str, str], now: dict[str, str]) -> list[str]:
    """Return what differs, in words such as `torch 2.12.0 then, 2.13.0 now`."""
    return [
        f"{name} {then.get(name, 'absent')} then, {now.get(name, 'absent')} now"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]
