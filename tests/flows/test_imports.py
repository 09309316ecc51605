"""Help, deployment and a worker's start stay quick as long as nothing heavy is imported on the way."""

import json
import subprocess
import sys

import pytest


def modules_after(statement: str) -> set[str]:
    code = f"{statement}; import json, sys; print(json.dumps(sorted(sys.modules)))"
    return set(json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout))


@pytest.mark.parametrize(
    ("statement", "left_out"),
    [
        ("import flows.cli", {"prefect", "pandas", "sqlalchemy", "pydantic", "optuna", "torch", "darts"}),
        (
            "import io, sys, flows.cli as cli; sys.stdout = io.StringIO(); cli.app(['--help']); "
            "sys.stdout = sys.__stdout__",
            {"prefect", "pandas", "sqlalchemy", "pydantic", "optuna", "torch", "darts", "matplotlib"},
        ),
        ("import flows.commands.tune", {"prefect", "pandas", "optuna", "torch", "darts"}),
        (
            "import flows.commands.train, flows.commands.predict, flows.commands.repro",
            {"prefect", "pandas", "optuna", "torch", "darts"},
        ),
        ("import flows.train", {"torch", "darts", "sklearn", "matplotlib", "pytorch_lightning", "talib"}),
        ("import flows.tune", {"torch", "darts", "matplotlib", "pytorch_lightning", "talib"}),
        ("import flows.commands.tune_all, flows.commands.studies", {"prefect", "pandas", "optuna", "torch", "darts"}),
        ("import flows.tune_all", {"torch", "darts", "matplotlib", "pytorch_lightning", "talib"}),
        ("import kallos.architectures; kallos.architectures.registry()", {"torch", "darts", "prefect"}),
    ],
)
def test_importing_it_leaves_heavy_libraries_out(statement, left_out):
    assert not left_out & modules_after(statement)
