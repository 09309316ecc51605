"""What the bits of compiled code depend on besides its text."""

import hashlib
from functools import cache
from importlib.metadata import version

from llvmlite import binding


@cache
def compiler() -> str:
    """Return the versions of the compiler and the processor that it compiles for, such as `numba 0.68.1, ...`."""
    features = hashlib.sha256(binding.get_host_cpu_features().flatten().encode()).hexdigest()[:8]
    versions = ", ".join(f"{library} {version(library)}" for library in ("numba", "llvmlite", "scipy"))
    return f"{versions}, {binding.get_host_cpu_name()} {features}"
