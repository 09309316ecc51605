"""What pyproject.toml requires: no version that is known not to work, and what messages say to install."""

import re
import shlex
import tomllib

import pytest
from packaging.requirements import Requirement

from kallos.errors import UsageError
from kallos.words import pip_install
from kallos.workers.scheduler import connect
from tests.lowest_versions import lowest_versions
from tests.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIRED = {requirement.name: requirement.specifier for requirement in map(Requirement, PROJECT["dependencies"])}


def test_a_pydantic_that_ignores_exclude_if_is_refused():
    # In 2.11 a field with it is dumped all the same: another JSON, another hash.
    assert not REQUIRED["pydantic"].contains("2.11.10")
    assert REQUIRED["pydantic"].contains("2.12.0")


def test_each_requirement_has_a_lowest_version_and_the_tested_one_is_allowed():
    tested = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        name, _, version = line.partition("==")
        tested[name.lower()] = version
    for name, allowed in REQUIRED.items():
        assert any(each.operator == ">=" for each in allowed), name
        assert allowed.contains(tested[name.lower()]), name


def test_the_lowest_versions_are_the_bounds_of_all_extras_but_of_torch():
    project = {
        "dependencies": ["torch>=2.9", "pandas>=2.3,<3.1", "fastapi<0.151,>=0.139", "psycopg[binary]>=3.2.1,<4"],
        "optional-dependencies": {"dev": ["mypy", "pytest<9.2"], "dask": ["dask>=2026.8"]},
    }
    assert list(lowest_versions(project)) == ["pandas==2.3", "fastapi==0.139", "psycopg==3.2.1", "dask==2026.8"]


def test_without_dask_a_message_names_what_pip_installs(monkeypatch):
    def is_missing(name):
        raise ImportError(name)

    monkeypatch.setattr("kallos.workers.scheduler.import_module", is_missing)
    with pytest.raises(UsageError, match=r"pip install 'dask>=2026.8' 'distributed>=2026.8'$"):
        connect("tcp://127.0.0.1:1")


@pytest.mark.parametrize("extra", ["dask", "dashboard", "statsforecast"])
def test_what_a_message_says_to_install_is_what_the_extra_holds(extra):
    pip, install, *said = shlex.split(pip_install(extra))
    assert (pip, install) == ("pip", "install")
    assert set(map(Requirement, said)) == set(map(Requirement, PROJECT["optional-dependencies"][extra]))


def test_a_package_of_no_extra_is_installed_by_its_name():
    assert pip_install("catboost") == "pip install catboost"


def test_no_text_sends_people_to_an_index_for_kallos_itself():
    folders = [ROOT / name for name in ("kallos", "flows", "docs", "deployments")]
    texts = [
        *ROOT.glob("*.md"),
        *(file for folder in folders for kind in ("py", "md") for file in folder.rglob(f"*.{kind}")),
    ]
    assert not [str(file) for file in texts if re.search(r"pip install .?kallos", file.read_text())]
