"""Deployments as an operator runs them: `prefect deploy`, a worker, the UI's API, and what is left in the morning."""

import csv
import json
import re
import shutil
import signal
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from uuid import UUID
from zoneinfo import ZoneInfo

import anyio
import optuna
import psutil
import pytest
import yaml
from prefect.server.schemas.schedules import CronSchedule
from sqlalchemy.engine import make_url

from kallos.features.databases import parse_url
from kallos.features.store import FeatureStore
from kallos.specs.grid import StudyGrid
from tests.integration.prefect_machine import ROOT, PrefectMachine
from tests.samples import make_features

ABC = {
    "model_name": "gru",
    "data": {"asset_id": "ABC", "features_table": "small"},
    "folds": {"n_folds": 2, "window": 40},
    "training": {"max_epochs": 1},
}


def test_a_night_leaves_what_the_command_line_leaves_of_the_same_study(machine, night, tmp_path):
    assert machine.flow_run(night)["state_name"] == "Completed"
    other = tmp_path / "home"
    other.mkdir()
    shutil.copy(machine.home / "features.db", other)
    study = ROOT / "deployments" / "studies" / "nightly.toml"
    more = prefect_yaml("nightly")["build"][0]["flows.deploying.read_study"]["run"]
    done = machine.run(
        *["kallos-run", "tune", "--study", str(study), "--more-trials", str(more["more_trials"])],
        KALLOS_HOME=str(other),
        KALLOS_RESULTS=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    name = "gru_SPX_best_params.json"
    assert json.loads((machine.results / name).read_text()) == json.loads((tmp_path / name).read_text())


def prefect_yaml(deployment: str) -> dict:
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    return next(each for each in deployments if each["name"] == deployment)


def test_the_log_of_a_night_says_trial_fold_score_and_seconds(machine, night):
    lines = "\n".join(machine.logs(night))
    assert re.search(r"study gru-SPX-[0-9a-f]{16}: new, 40 trials, the first 4 now", lines)
    assert re.search(r"trial 2 fold 1: rmse 0\.0\d+, \d+\.\d s", lines)
    assert re.search(r"trial 3 finished: .* baseline 0\.0\d+ \(\w+\), \d+\.\d s of fits", lines)


def test_a_nights_artifacts_stand_under_keys_that_stay(machine, night):
    found = machine.post("artifacts/filter", artifacts={"flow_run_id": {"any_": [night]}})
    by_key = {artifact["key"]: artifact for artifact in found}
    assert by_key.keys() == {"best-params-gru-spx", "trials-gru-spx", "progress-gru-spx", "plots-gru-spx"}
    assert "There is no result of an earlier run." in by_key["best-params-gru-spx"]["data"]
    assert len(json.loads(by_key["trials-gru-spx"]["data"])) == 4
    assert float(by_key["progress-gru-spx"]["data"]) == 100


@pytest.mark.parametrize(
    "wrong",
    [
        {"spec": {**ABC, "n_trials": 0}},
        {"spec": {**ABC, "pruner": "axe"}},
        {"spec": {**ABC, "model_name": "gruu"}},
        {"spec": {**ABC, "model_name": "gru,lstn"}},
        {"spec": {**ABC, "n_trails": 5}},
        {"spec": {"data": {}}},
        {"spec": ABC, "run": {"if_running": "later"}},
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_runs(machine, wrong):
    before = machine.post("flow_runs/count")
    done = machine.run("prefect", "deployment", "run", "tune/adhoc", "--params", json.dumps(wrong))
    assert done.returncode == 1
    assert "Validation failed" in done.stdout + done.stderr
    assert machine.post("flow_runs/count") == before


def test_the_form_has_descriptions_bounds_choices_and_defaults(machine):
    found = machine.post("deployments/filter", deployments={"name": {"any_": ["adhoc"]}})[0]
    schema = found["parameter_openapi_schema"]
    fields = {
        (model, name): field
        for model, definition in schema["definitions"].items()
        for name, field in definition.get("properties", {}).items()
    }
    assert all(field.get("description") for field in schema["properties"].values())
    # Nested specifications are described by their own fields.
    plain = {place: field for place, field in fields.items() if "$ref" not in field and "allOf" not in field}
    assert [place for place, field in plain.items() if not field.get("description")] == []
    assert fields["TuneSpec", "n_trials"] | {"default": 20, "exclusiveMinimum": 0} == fields["TuneSpec", "n_trials"]
    assert fields["TuneSpec", "pruner"]["enum"][0] == "folds"
    offered = fields["TuneSpec", "model_name"]["anyOf"][0]["enum"]
    assert offered[-1] == "auto"
    assert {"gru", "lstm", "transformer", "ridge"} <= set(offered)
    assert found["parameters"] == {}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_many_studies_are_a_deployment_of_their_own(machine):
    (found,) = machine.post("deployments/filter", deployments={"name": {"any_": ["many"]}})
    assert StudyGrid.model_validate(found["parameters"]["grid"]).title == "gru, lstm on all assets"
    grid = {"spec": {**ABC, "n_trials": 1}, "assets": ["ABC"], "models": ["gru", "lstm"]}
    parameters = json.dumps({"grid": grid, "output_dir": str(machine.folder / "many")})
    done = machine.run("prefect", "deployment", "run", "tune-all/many", "--watch", "--params", parameters)
    assert done.returncode == 0, done.stdout + done.stderr
    with (machine.folder / "many" / "leaderboard.csv").open() as file:
        assert {row["model"] for row in csv.DictReader(file) if row["status"] == "done"} == {"gru", "lstm"}


def start_adhoc(machine: PrefectMachine, n_trials: int, **run) -> str:
    parameters = {"spec": {**ABC, "n_trials": n_trials}, "run": run}
    done = machine.run("prefect", "deployment", "run", "tune/adhoc", "--params", json.dumps(parameters))
    assert done.returncode == 0, done.stdout + done.stderr
    (run_id,) = re.findall(r"UUID: ([0-9a-f-]{36})", done.stdout)
    return run_id


def process_of(flow_run: str) -> psutil.Process:
    """The process that a worker has started for a run."""
    for process in psutil.process_iter(["environ", "cmdline"]):
        environment = process.info["environ"] or {}
        started = " ".join(process.info["cmdline"] or [])
        if (
            environment.get("PREFECT__FLOW_RUN_ID") in (flow_run, flow_run.replace("-", ""))
            and "kallos.workers.forks" not in started
        ):
            return process
    raise AssertionError(f"no process of the run {flow_run}")


def test_a_run_whose_process_is_killed_is_crashed_and_the_next_one_carries_on(machine):
    killed = start_adhoc(machine, 40)
    machine.wait_until(lambda: any(line.startswith("trial 1 finished") for line in machine.logs(killed)))
    process_of(killed).send_signal(signal.SIGKILL)
    machine.wait_until(lambda: machine.flow_run(killed)["state_name"] == "Crashed")
    notes = machine.results / "failures"
    machine.wait_until(lambda: bool(list(notes.glob("gru_ABC-*.json"))))
    (note,) = notes.glob("gru_ABC-*.json")
    failure = json.loads(note.read_text())
    assert (failure["state"], failure["flow_run_id"]) == ("Crashed", killed)
    assert "fix the cause, and the next run continues the study" in failure["remedy"]
    after = start_adhoc(machine, 12)
    machine.wait_until(lambda: machine.flow_run(after)["state_type"] not in ("SCHEDULED", "PENDING", "RUNNING"))
    assert machine.flow_run(after)["state_name"] == "Completed"
    opening = next(line for line in machine.logs(after) if line.startswith("study "))
    assert int(re.search(r": (\d+) of 12 trials recorded, and not run again", opening)[1]) >= 2
    assert json.loads((machine.results / "gru_ABC_best_params.json").read_text())["n_trials"] == 12
    assert not note.exists()


def test_a_night_that_is_still_running_is_not_joined_by_the_next(machine, night):
    first = machine.run("prefect", "deployment", "run", "tune/nightly")
    (first_id,) = re.findall(r"UUID: ([0-9a-f-]{36})", first.stdout)
    machine.wait_until(lambda: machine.flow_run(first_id)["state_name"] == "Running")
    second = machine.run("prefect", "deployment", "run", "tune/nightly", "--watch")
    assert second.returncode == 1
    (second_id,) = re.findall(r"UUID: ([0-9a-f-]{36})", second.stdout)
    assert machine.flow_run(second_id)["state_name"] == "Cancelled"
    machine.wait_until(lambda: machine.flow_run(first_id)["state_name"] == "Completed")
    lines = "\n".join(machine.logs(first_id))
    assert re.search(r"study gru-SPX-[0-9a-f]{16}: 4 of 8 trials recorded, and not run again", lines)
    document = json.loads((machine.results / "gru_SPX_best_params.json").read_text())
    assert document["n_trials"] == 8


def test_doctor_says_that_all_is_well(machine, night):
    done = machine.run("kallos-run", "doctor")
    assert done.returncode == 0, done.stdout
    for said in (
        "versions  kallos ",
        "features  sqlite:///",
        "answers, assets: 1",
        "prefect   the API at 127.0.0.1 answers, Prefect 3.8",
        "work pool kallos (process) takes runs",
        "worker    1 online",
        "schedule  tune/nightly runs next at 20",
    ):
        assert said in done.stdout


def test_doctor_says_what_keeps_a_night_from_running(machine):
    created = machine.run("prefect", "--no-prompt", "work-pool", "create", "idle", "--type", "process")
    assert created.returncode == 0, created.stderr
    done = machine.run("kallos-run", "doctor", "--work-pool", "idle", KALLOS_DB_URL="postgresql://127.0.0.1:9/none")
    assert done.returncode == 1
    assert re.search(r"^BAD  features  postgresql.* does not answer: ", done.stdout, re.M)
    assert re.search(r"^BAD  worker    none is online, so no run starts", done.stdout, re.M)
    done = machine.run("kallos-run", "doctor", "--work-pool", "none")
    assert "note work pool deployments need 'none', which does not exist" in done.stdout


def create_automation(machine: PrefectMachine, file: Path) -> None:
    done = machine.run("prefect", "automation", "create", "--from-file", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_run_that_fails_is_told_to_a_webhook(machine, tmp_path):
    told: list[bytes] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self):
            told.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Listener) as listener:
        Thread(target=listener.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{listener.server_port}/"
        save = (
            "from prefect.blocks.notifications import CustomWebhookNotificationBlock as Webhook; "
            f"print(Webhook(name='told', url={url!r}, allow_private_urls=True, "
            "json_data={'text': '{{subject}}: {{body}}'}).save('told'))"
        )
        saved = machine.run("python", "-c", save)
        assert saved.returncode == 0, saved.stderr
        text = (ROOT / "deployments" / "automations" / "notify.yaml").read_text()
        (tmp_path / "notify.yaml").write_text(text.replace(str(UUID(int=0)), saved.stdout.split()[-1]))
        create_automation(machine, tmp_path / "notify.yaml")
        parameters = json.dumps({"spec": {**ABC, "data": {"asset_id": "NONE", "features_table": "small"}}})
        failed = machine.run("prefect", "deployment", "run", "tune/adhoc", "--watch", "--params", parameters)
        assert failed.returncode == 1
        machine.wait_until(lambda: told != [])
        listener.shutdown()
    said = json.loads(told[0])["text"]
    assert "tune-gru-NONE is Failed: tune/adhoc: " in said
    assert "asset 'NONE' has no rows in table 'small'" in said


def test_zombies_are_marked_by_the_server(machine):
    create_automation(machine, ROOT / "deployments" / "automations" / "zombies.yaml")
    (automation,) = [each for each in machine.post("automations/filter") if each["name"] == "kallos-zombies"]
    assert automation["trigger"]["within"] == 900


@pytest.mark.parametrize(
    ("cron", "zone", "first", "expected"),
    [
        # As deployed. Clocks go forward on Sunday, 14 March 2027, and back on Sunday, 7 November.
        (None, None, "2027-03-12", ["03-12 04:30 -0500", "03-13 04:30 -0500", "03-16 04:30 -0400"]),
        (None, None, "2027-11-05", ["11-05 04:30 -0400", "11-06 04:30 -0400", "11-09 04:30 -0500"]),
        # 02:30 is skipped on 28 March, and comes twice on 31 October.
        ("30 2 * * *", "Europe/Berlin", "2027-03-27", ["03-27 02:30 +0100", "03-28 01:30 +0100", "03-29 02:30 +0200"]),
        ("30 2 * * *", "Europe/Berlin", "2027-10-30", ["10-30 02:30 +0200", "10-31 02:30 +0200", "11-01 02:30 +0100"]),
    ],
)
def test_schedules_keep_to_their_clock_when_it_changes(cron, zone, first, expected):
    (deployed,) = prefect_yaml("nightly")["schedules"]
    cron, zone = cron or deployed["cron"], zone or deployed["timezone"]
    start = datetime.fromisoformat(first).replace(tzinfo=ZoneInfo(zone))
    planned = anyio.run(lambda: CronSchedule(cron=cron, timezone=zone).get_dates(n=3, start=start))
    assert [f"{each.astimezone(ZoneInfo(zone)):%m-%d %H:%M %z}" for each in planned] == expected


@pytest.fixture(scope="module")
def secret_pool(machine, postgres_url, tmp_path_factory):
    """A work pool whose runs find everything in PostgreSQL by way of a Secret block, and leave results at a URL."""
    url = make_url(postgres_url).set(username="postgres", password="hunter2").render_as_string(hide_password=False)
    with FeatureStore(url) as store:
        store.write({"ABC": make_features()}, table_name="small")
    folder = tmp_path_factory.mktemp("secrets")
    bucket = folder / "bucket"
    template = json.loads((ROOT / "deployments" / "work-pool.json").read_text())
    secret = "{{ prefect.blocks.secret.kallos-db-url }}"
    template["variables"]["properties"]["env"]["default"] |= {
        "KALLOS_DB_URL": secret,
        "KALLOS_STORAGE_URL": secret,
        "KALLOS_HOME": str(folder / "home"),
        "KALLOS_RESULTS": bucket.as_uri(),
    }
    (folder / "pool.json").write_text(json.dumps(template))
    save = f"from prefect.blocks.system import Secret; Secret(value={url!r}).save('kallos-db-url')"
    create = f"prefect --no-prompt work-pool create secret --type process --base-job-template {folder}/pool.json"
    deploy = "prefect --no-prompt deploy flows.tune.tune --name secret --pool secret"
    for command in (["python", "-c", save], create.split(), deploy.split()):
        done = machine.run(*command, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
    machine.start_worker("secret")
    return bucket


def test_features_and_record_may_lie_in_postgresql_and_results_at_a_url(machine, secret_pool, postgres_url):
    parameters = json.dumps({"spec": {**ABC, "n_trials": 2, "seed": 99}})
    done = machine.run("prefect", "deployment", "run", "tune/secret", "--watch", "--params", parameters)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads((secret_pool / "gru_ABC_best_params.json").read_text())
    assert document["n_trials"] == 2
    assert document["study"] in optuna.get_all_study_names(parse_url(postgres_url).render_as_string())


def test_no_secret_is_in_logs_states_artifacts_or_parameters(machine, secret_pool):
    # A run that ends well is there already; this one names its database when it fails.
    parameters = json.dumps({"spec": {**ABC, "data": {"asset_id": "ABC", "features_table": "smaller"}}})
    done = machine.run("prefect", "deployment", "run", "tune/secret", "--watch", "--params", parameters)
    assert done.returncode == 1
    (run_id,) = re.findall(r"UUID: ([0-9a-f-]{36})", done.stdout)
    assert "did you mean 'small'" in machine.flow_run(run_id)["state"]["message"]
    shown = [done.stdout, *machine.logs(run_id), (machine.folder / "worker-secret.log").read_text()]
    shown += [
        json.dumps(machine.post(f"{kind}/filter")) for kind in ("flow_runs", "task_runs", "artifacts", "deployments")
    ]
    shown += [path.read_text() for path in secret_pool.rglob("*") if path.is_file()]
    assert len(shown) > 8
    assert "hunter2" not in "\n".join(shown)


def test_a_study_is_served_without_a_work_pool(machine):
    (machine.folder / "small.toml").write_text(
        'model_name = "gru"\nn_trials = 1\nseed = 5\n[data]\nasset_id = "ABC"\nfeatures_table = "small"\n'
        "[folds]\nn_folds = 1\nwindow = 40\n[training]\nmax_epochs = 1\n"
    )
    serve = ["kallos-run", "serve", "small.toml", "--cron", "30 4 * * *", "--timezone", "Europe/Berlin"]
    serving = machine.start(*serve, "--output-dir", str(machine.folder / "served"), log="serve")
    served = {"name": {"any_": ["small"]}}
    machine.wait_until(lambda: machine.post("deployments/filter", deployments=served) != [])
    (deployment,) = machine.post("deployments/filter", deployments=served)
    assert deployment["schedules"][0]["schedule"]["timezone"] == "Europe/Berlin"
    done = machine.run("prefect", "deployment", "run", "tune/small", "--watch")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((machine.folder / "served" / "gru_ABC_best_params.json").read_text())["n_trials"] == 1
    # Told to end, it takes its run along.
    longer = json.dumps({"spec": {**ABC, "n_trials": 60, "seed": 6}})
    started = machine.run("prefect", "deployment", "run", "tune/small", "--params", longer)
    (run_id,) = re.findall(r"UUID: ([0-9a-f-]{36})", started.stdout)
    machine.wait_until(lambda: any(line.startswith("trial 0 fold 1") for line in machine.logs(run_id)))
    processes = psutil.Process(serving.pid).children(recursive=True)
    serving.terminate()
    assert serving.wait(60) == 128 + signal.SIGTERM
    assert psutil.wait_procs(processes, timeout=5)[1] == []
    assert machine.flow_run(run_id)["state_name"] == "Crashed"


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["none.toml"], {}, "a study file must be readable: none.toml"),
        ([], {"PREFECT_API_URL": ""}, "serve needs a permanent Prefect server"),
        (["--cron", "nightly"], {}, "--cron must be a cron expression, not 'nightly'"),
        (
            ["--cron", "30 4 * * *", "--timezone", "Amerika/New_York"],
            {},
            "--timezone must be an IANA time zone, not 'Amerika/New_York': did you mean 'America/New_York'?",
        ),
        (["--output-dir", "here"], {}, "the output folder of a deployment must be absolute, not 'here'"),
        (
            [],
            {"PREFECT_API_URL": "http://127.0.0.1:9/api"},
            "Prefect's API must answer, and http://127.0.0.1:9/api",
        ),
    ],
)
def test_what_cannot_be_served_is_one_clear_line(machine, arguments, environment, said):
    study = str(ROOT / "deployments" / "studies" / "nightly.toml")
    given = arguments if arguments[:1] == ["none.toml"] else [study, *arguments]
    done = machine.run("kallos-run", "serve", *given, **environment)
    assert done.returncode == (1 if "API must answer" in said else 2)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
