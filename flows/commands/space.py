"""`kallos-run space`: show a search space as a table, TOML or JSON."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from flows.wording import AsJson, Console, print_json
from kallos.architectures.description import described, literal, toml_lines
from kallos.architectures.losses import MSE
from kallos.architectures.study_space import StudySpace
from kallos.errors import UsageError
from kallos.specs.files import read_study_file
from kallos.specs.study import TuneSpec, parse_space


def space(
    model_name: Annotated[
        str | None,
        Parameter(
            help="Architectures, separated by commas; 'auto' for all, or a custom module:NAME. [default: those of the "
            "study file, or else lightgbm,ridge]"
        ),
    ] = None,
    /,
    *,
    loss: Annotated[
        str | None, Parameter(help="Loss of the networks. [default: that of the study file, or else mse]")
    ] = None,
    study: Annotated[Path | None, Parameter(help="Study file (TOML) whose own space overrides the default.")] = None,
    as_toml: Annotated[bool, Parameter(name="--toml", help="Print TOML to paste into a study file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the search space of a study, with the default of each parameter."""
    if as_toml and as_json:
        raise UsageError("space prints one format: give --toml or --json, not both")
    values = read_study_file(study) if study else {}
    name = model_name or values.get("model_name", TuneSpec.model_fields["model_name"].default)
    tables = values.get("space", {})
    training = values.get("training", {})
    if not (isinstance(name, str) and isinstance(tables, dict) and isinstance(training, dict)):
        raise UsageError(f"model_name must be text, and space and training must be tables: correct {study}")
    found = parse_space(name, tables, loss or training.get("loss", MSE))
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
