"""What the bits of compiled code depend on besides its text."""

import hashlib
from functools import cache
from importlib.metadata import version


@cache
def compiler() -> str:
    """Return the compiler's versions and this machine's processor: its name, and a hash of its features."""
    from llvmlite import binding

    features = hashlib.sha256(binding.get_host_cpu_features().flatten().encode()).hexdigest()[:8]
    return f"numba {version('numba')}, llvmlite {version('llvmlite')}, {binding.get_host_cpu_name()}, {features}"
