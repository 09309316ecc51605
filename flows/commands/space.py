"""`kallos-run space`: what a study draws its parameters from, as a table, TOML or JSON."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from flows.wording import Console, print_json
from kallos.architectures.description import described, literal, toml_lines
from kallos.architectures.study_space import StudySpace
from kallos.errors import UsageError
from kallos.specs.files import read_study_file
from kallos.specs.study import parse_space

_DEFAULT_MODEL = "gru"


def space(
    model_name: Annotated[
        str | None,
        Parameter(help="Architecture, several by commas, 'auto' or module:NAME. [default: the study file's, else gru]"),
    ] = None,
    /,
    *,
    study: Annotated[
        Path | None, Parameter(help="TOML file of a study, whose own space is laid over.", show_default=False)
    ] = None,
    as_toml: Annotated[
        bool, Parameter(name="--toml", negative="", help="Print TOML that can be pasted into a study file.")
    ] = False,
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print the space as the best-parameters JSON has it.")
    ] = False,
) -> None:
    """Show what each trial of a study draws, with each parameter's default."""
    if as_toml and as_json:
        raise UsageError("--toml and --json are two forms of the same: give one")
    values = read_study_file(study) if study else {}
    name, tables = model_name or values.get("model_name", _DEFAULT_MODEL), values.get("space", {})
    if not isinstance(name, str) or not isinstance(tables, dict):
        raise UsageError(f"a study's model_name must be text and its space a table: see {study}")
    found = parse_space(name, tables)
    if as_json:
        print_json(found.document())
    elif as_toml:
        sys.stdout.write("\n".join(toml_lines(found)))
    else:
        _show(found)


def _show(found: StudySpace) -> None:
    console = Console()
    for number, (name, own) in enumerate(found.spaces.items()):
        if number:
            console.print()
        defaults = found.defaults(name)
        table = Table(box=None, title=name, title_justify="left", title_style="bold", pad_edge=False)
        table.add_column("parameter", no_wrap=True, min_width=28)
        table.add_column("drawn from")
        table.add_column("default", justify="right", no_wrap=True)
        for parameter, content in own.items():
            default = literal(defaults[parameter]) if parameter in defaults else ""
            table.add_row(parameter, described(content), default)
        console.print(table)
