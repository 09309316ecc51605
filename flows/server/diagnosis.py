"""The checks of `kallos-run doctor`. Each yields findings of one line, and none raises."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import httpx
import sqlalchemy
from packaging.requirements import Requirement
from prefect import __version__ as prefect_version
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType, WorkerStatus
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from sqlalchemy import ColumnClause
from sqlalchemy.exc import SQLAlchemyError

import kallos
from kallos.errors import KallosError
from kallos.features.databases import parse_url, reason_of, shown
from kallos.settings import Settings
from kallos.storage import prepare_folder
from kallos.words import scrubbed
from kallos.workers.dask import DaskPool

_FLOWS = ("tune", "tune-all", "nightly", "train", "evaluate")
_GIGABYTE = 1_000_000_000
_LOW_DISK, _FULL_DISK = 5 * _GIGABYTE, _GIGABYTE

State = Literal["ok", "note", "bad"]


@dataclass(frozen=True)
class Diagnosis:
    """One line: `bad` prevents studies from running, `note` is worth knowing."""

    state: State
    subject: str
    message: str


Check = Callable[[], Iterator[Diagnosis]]


def checks(settings: Settings, work_pool: str) -> list[Check]:
    """Return all checks, each before those that depend on it."""
    return [
        check_versions,
        lambda: check_disk(settings),
        lambda: check_results(settings),
        lambda: check_store(settings),
        lambda: check_database("features", settings.features_url),
        lambda: check_database("studies", settings.studies_url),
        lambda: check_cluster(settings),
        lambda: check_prefect(work_pool),
    ]


def check_versions() -> Iterator[Diagnosis]:
    """Compare the installed packages with the requirements of Kallos and with the tested versions."""
    wanted = [Requirement(line) for line in requires("kallos") or [] if "extra ==" not in line]
    unfit, untested, tested = [], [], _tested_versions()
    for requirement in wanted:
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            unfit.append(f"{requirement} is not installed")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            unfit.append(f"{requirement.name} {installed} is not {requirement.specifier}")
        elif installed.partition("+")[0] != tested.get(requirement.name.lower(), installed.partition("+")[0]):
            untested.append(f"{requirement.name} {installed} (tested: {tested[requirement.name.lower()]})")
    if unfit:
        yield Diagnosis("bad", "versions", f"{'; '.join(unfit)}: install Kallos again with constraints.txt")
    elif untested:
        yield Diagnosis("note", "versions", f"untested versions: {', '.join(untested)}")
    else:
        packages = "all packages have the tested versions" if tested else "all requirements are met"
        yield Diagnosis("ok", "versions", f"kallos {kallos.__version__}, and {packages}")


def check_disk(settings: Settings) -> Iterator[Diagnosis]:
    """Check the free disk space for the home of Kallos."""
    if not settings.home.expanduser().is_absolute():
        yield Diagnosis("note", "home", f"{settings.home} is relative, but runs of deployments start in another folder")
    existing = next(folder for folder in (settings.home_dir, *settings.home_dir.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    message = f"{free / _GIGABYTE:.1f} GB free for {settings.home_dir}"
    if free < _FULL_DISK:
        remedy = "free some space ('kallos-run cache prune', 'prefect server database reset')"
        yield Diagnosis("bad", "disk", f"{message}: {remedy}")
    else:
        yield Diagnosis("note" if free < _LOW_DISK else "ok", "disk", message)


def check_results(settings: Settings) -> Iterator[Diagnosis]:
    """Write to the results folder of deployments."""
    yield _check_writable("results", settings.results_folder, settings.results_folder)


def check_store(settings: Settings) -> Iterator[Diagnosis]:
    """Write to the store that the machines of a cluster share, if there is one in the settings."""
    if settings.store is not None:
        store = settings.store.get_secret_value()
        yield _check_writable("store", store, settings.snapshots, settings.fold_cache, setting="KALLOS_STORE: ")


def _check_writable(subject: str, address: str, *folders: str, setting: str = "") -> Diagnosis:
    try:
        for folder in folders:
            prepare_folder(folder)
    except KallosError as error:
        return Diagnosis("bad", subject, f"{setting}{error}")
    return Diagnosis("ok", subject, f"{scrubbed(address)} is writable")


def check_database(subject: Literal["features", "studies"], db_url: str) -> Iterator[Diagnosis]:
    """Connect, and count assets or studies; creates nothing."""
    try:
        url = parse_url(db_url)
    except KallosError as error:
        yield Diagnosis("bad", subject, str(error))
        return
    name = shown(url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        remedy = "run 'kallos-run ingest'" if subject == "features" else "the first study creates it"
        yield Diagnosis("note", subject, f"{name} does not exist yet: {remedy}")
        return
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
    try:
        with engine.connect() as connection:
            tables = sqlalchemy.inspect(connection).get_table_names()
            if subject not in tables:
                yield Diagnosis("note", subject, f"{name} answers, but has no table {subject!r} yet")
                return
            counted: ColumnClause[str] = sqlalchemy.column("asset_id" if subject == "features" else "study_id")
            count = sqlalchemy.select(sqlalchemy.func.count(counted.distinct())).select_from(sqlalchemy.table(subject))
            found = connection.execute(count).scalar_one()
    except SQLAlchemyError as error:
        yield Diagnosis("bad", subject, f"{name} does not answer: {reason_of(error, url)}")
        return
    yield Diagnosis("ok", subject, f"{name} answers, {'assets' if subject == 'features' else 'studies'}: {found}")


def check_cluster(settings: Settings) -> Iterator[Diagnosis]:
    """Check the Dask cluster in the settings, and what its workers compute."""
    if settings.dask_address is None:
        return
    try:
        with DaskPool(settings.dask_address) as pool:
            all_serve = pool.examine()
            pool.refuse_hopeless()
            yield Diagnosis("ok" if all_serve else "note", "cluster", pool.line())
    except KallosError as error:
        yield Diagnosis("bad", "cluster", str(error))


def check_prefect(work_pool: str) -> Iterator[Diagnosis]:
    """Check the API, its version, the work pool, its workers, and the schedules of our deployments."""
    api = PREFECT_API_URL.value()
    if not api:
        yield Diagnosis("note", "prefect", "PREFECT_API_URL is not set: commands start a temporary server each time")
        return
    host = urlsplit(api).hostname
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), get_client(sync_client=True) as client:
        error = client.api_healthcheck()
        if error is not None:
            if isinstance(error, httpx.HTTPStatusError) and error.response.status_code == httpx.codes.NOT_FOUND:
                message = f"{scrubbed(api)} is not Prefect's API: PREFECT_API_URL must end in /api"
            else:
                message = f"{scrubbed(api)} does not answer: {error}: start it with 'prefect server start'"
            yield Diagnosis("bad", "prefect", message)
            return
        try:
            yield from _check_server(client, host, work_pool)
        except (httpx.HTTPError, PrefectHTTPStatusError) as failure:
            reason = str(failure).splitlines()[0]
            yield Diagnosis("bad", "prefect", f"the API at {host} refuses: {reason}: check PREFECT_API_AUTH_STRING")


def _check_server(client: SyncPrefectClient, host: str | None, work_pool: str) -> Iterator[Diagnosis]:
    theirs = client.api_version()
    if theirs.split(".")[:2] == prefect_version.split(".")[:2]:
        yield Diagnosis("ok", "prefect", f"the API at {host} answers, Prefect {theirs}")
    else:
        yield Diagnosis("bad", "prefect", f"the API at {host} is Prefect {theirs}, but here it is {prefect_version}")
    yield from _check_pool(client, work_pool)
    yield from _check_schedules(client)


def _check_pool(client: SyncPrefectClient, name: str) -> Iterator[Diagnosis]:
    try:
        pool = client.read_work_pool(name)
    except ObjectNotFound:
        yield Diagnosis(
            "note",
            "work pool",
            f"deployments need {name!r}, which does not exist: 'prefect work-pool create {name} --type process "
            f"--base-job-template deployments/work-pool.json'",
        )
        return
    if pool.is_paused:
        yield Diagnosis("bad", "work pool", f"{name} is paused: 'prefect work-pool resume {name}'")
    else:
        yield Diagnosis("ok", "work pool", f"{name} ({pool.type}) takes runs")
    environment = pool.base_job_template.get("variables", {}).get("properties", {}).get("env", {}).get("default") or {}
    if "PREFECT_FLOWS_HEARTBEAT_FREQUENCY" not in environment:
        yield Diagnosis(
            "note",
            "work pool",
            f"{name} lacks the settings of deployments/work-pool.json, so its runs send no heartbeats and dead runs "
            f"stay unnoticed: 'prefect work-pool update {name} --base-job-template deployments/work-pool.json'",
        )
    workers = client.read_workers_for_work_pool(name)
    alive = [worker.name for worker in workers if worker.status is WorkerStatus.ONLINE]
    if alive:
        yield Diagnosis("ok", "worker", f"{len(alive)} online: {', '.join(alive)}")
    else:
        yield Diagnosis("bad", "worker", f"none is online, so no run starts: 'prefect worker start --pool {name}'")


def _check_schedules(client: SyncPrefectClient) -> Iterator[Diagnosis]:
    deployments = {
        f"{flow}/{deployment.name}": deployment
        for flow in _FLOWS
        for deployment in client.read_deployments(flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])))
    }
    if not deployments:
        yield Diagnosis(
            "note", "schedule", "nothing is deployed: run 'prefect deploy --all' in the folder of prefect.yaml"
        )
    on = {name for name, each in deployments.items() if any(schedule.active for schedule in each.schedules)}
    for name, deployment in deployments.items():
        if not deployment.schedules:
            continue
        if deployment.paused or name not in on:
            remedy = "resume it in the UI" if deployment.work_pool_name else "serve it again, or delete it"
            # Another deployment is active, so this one may be paused on purpose.
            state: State = "bad" if deployment.paused or not on else "note"
            yield Diagnosis(state, "schedule", f"{name} is paused: {remedy}")
            continue
        upcoming = client.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
            ),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=1,
        )
        if upcoming and (begins := upcoming[0].expected_start_time) is not None:
            moment = f"{begins.astimezone():%Y-%m-%d %H:%M %Z}"
            if begins > datetime.now(UTC):
                yield Diagnosis("ok", "schedule", f"{name} runs next at {moment}")
            else:
                yield Diagnosis("note", "schedule", f"{name} is late: it was due at {moment}, and no worker took it")
        else:
            yield Diagnosis("note", "schedule", f"{name} is active, but its next run is not planned yet")


def _tested_versions() -> dict[str, str]:
    """Return the versions in constraints.txt, which only a checkout has."""
    path = Path(kallos.__file__).parents[1] / "constraints.txt"
    if not path.is_file():
        return {}
    pins = (line.split("==") for line in path.read_text().splitlines() if "==" in line)
    return {name.strip().lower(): pinned.strip() for name, pinned in pins}
