"""`kallos-run serve`: run a study on a schedule in this process, without a work pool."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated
from zoneinfo import available_timezones

from cyclopts import Parameter

from flows.server.api import set_environment
from kallos.errors import UsageError
from kallos.specs.files import read_study_file
from kallos.specs.run import RunSpec
from kallos.specs.study import parse_spec, parse_tune_spec
from kallos.storage import refuse_relative
from kallos.words import did_you_mean


def serve(
    study: Annotated[Path, Parameter(help="Study file (TOML).")],
    /,
    *,
    cron: Annotated[str | None, Parameter(help="Schedule, as a cron expression. [default: no schedule]")] = None,
    timezone: Annotated[str, Parameter(help="Time zone of --cron.")] = "UTC",
    name: Annotated[str | None, Parameter(help="Name of the deployment. [default: the file's name]")] = None,
    more_trials: Annotated[int | None, Parameter(help="Most trials that a run adds. [default: all]")] = None,
    output_dir: Annotated[
        str | None, Parameter(help="Results folder, or its fsspec URL. [default: KALLOS_RESULTS]")
    ] = None,
) -> None:
    """Run a study on a schedule, without a work pool.

    Serves the deployment `tune/NAME` until Ctrl-C, one run at a time, each in its own process. Needs the Prefect server
    in PREFECT_API_URL. The study file is only read at the start: serve it again after a change.
    """
    spec = parse_tune_spec(read_study_file(study))
    run = parse_spec(RunSpec, {"more_trials": more_trials})
    if output_dir is not None:
        refuse_relative(output_dir)
    set_environment(serving=True)
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        raise UsageError(
            "serve needs a permanent Prefect server: run 'prefect server start', and set PREFECT_API_URL to its API"
        )
    from prefect.schedules import Cron
    from prefect.types.entrypoint import EntrypointType

    from flows.server.api import api_must_answer
    from flows.server.serving import Server
    from flows.tune import tune

    zones = available_timezones()
    if timezone not in zones:
        raise UsageError(f"--timezone must be an IANA time zone, not {timezone!r}: {did_you_mean(timezone, zones)}")
    try:
        schedule = Cron(cron, timezone=timezone) if cron else None
    except ValueError as error:
        raise UsageError(f"--cron must be a cron expression, not {cron!r}: {error}") from None
    parameters = {"spec": spec.model_dump(mode="json"), "run": run.model_dump(mode="json"), "output_dir": output_dir}
    name = name or study.stem
    with api_must_answer("start it with 'prefect server start'"):
        server = Server(name=name, limit=1)
        server.add_flow(
            tune,
            name=name,
            description=f"Serves {study.name}.",
            tags=["kallos"],
            parameters=parameters,
            schedule=schedule,
            # A run imports the installed module, not a file in the current folder.
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        sys.stdout.write(f"serving tune/{name} until Ctrl-C; to run it now: prefect deployment run tune/{name}\n")
        sys.stdout.flush()
        asyncio.run(server.start())
