"""What a result depends on."""

import sys
from types import SimpleNamespace

from kallos.versions import version_here


def test_a_library_has_the_version_that_is_loaded_whatever_is_installed_by_now(monkeypatch):
    version_here.cache_clear()
    monkeypatch.setitem(sys.modules, "darts", SimpleNamespace(__version__="0.1"))
    assert version_here("darts") == "0.1"
    monkeypatch.setitem(sys.modules, "darts", SimpleNamespace(__version__="0.2"))
    assert version_here("darts") == "0.1"
    version_here.cache_clear()
