"""`kallos-run models`, called in this process."""

import json

import pytest

from flows.cli import main
from kallos.models.holdout_evaluations import EvaluationRecord, record_evaluation
from kallos.settings import Settings
from tests.flows.test_imports import modules_after
from tests.model_folders import make_model

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")

OLD, NEW = "gru-ABC-0123456789abcdef", "lstm-ABC-fedcba9876543210"


@pytest.fixture
def models(home, tmp_path, monkeypatch):
    """A registry in the home with two models, the new one in place of the old one."""
    monkeypatch.setenv("COLUMNS", "80")
    for model_id in (OLD, NEW):
        run(monkeypatch, "add", make_model(tmp_path / "results", model_id))
        run(monkeypatch, "promote", model_id, "--reason", "by verdict: ship")
    return home / "models"


def run(monkeypatch, *arguments: str) -> int:
    """Run the command line and return its exit code."""
    monkeypatch.setattr("sys.argv", ["kallos-run", "models", *arguments])
    try:
        main()
    except SystemExit as left:
        return left.code
    return 0


def evaluation_of_model(model_id: str, time: str, decision: str | None = None) -> EvaluationRecord:
    window = {"test_start": "2021-02-04T00:00:00", "test_end": "2021-04-04T00:00:00"}
    subject = {"model_id": model_id, "asset_id": "ABC", "target": "log_return_close", "horizon": 1}
    return EvaluationRecord.model_validate(
        {**subject, **window, "time": time, "decision": decision, "data_sha256": "5e" * 32}
    )


def test_the_registry_is_in_the_home_unless_a_setting_or_a_flag_says_more(home, tmp_path, monkeypatch, capsys):
    made = make_model(tmp_path / "results", OLD)
    slot = "ABC log_return_close, 1 step ahead"
    assert Settings.read().registry_folder == str(home / "models")
    monkeypatch.setenv("KALLOS_REGISTRY", "memory://user:s3cret@host/registry")
    assert run(monkeypatch, "add", made) == 0
    assert run(monkeypatch, "add", made, "--registry", str(tmp_path / "own")) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{OLD} is a challenger for {slot}, in memory://***@host/registry",
        f"{OLD} is a challenger for {slot}, in {tmp_path}/own",
    ]
    assert (tmp_path / "own" / OLD / "weights.pt").is_file()
    assert not home.exists()


def test_each_change_says_in_one_line_what_came_of_it(models, monkeypatch, capsys):
    slot = "ABC log_return_close, 1 step ahead"
    unjudged = "; it has no logged evaluation"
    for arguments, said in [
        (["promote", OLD], f"{OLD} is the champion for {slot}, in place of {NEW}{unjudged}"),
        (["roll-back", OLD], f"{NEW} is the champion for {slot}, in place of {OLD}"),
        (["roll-back", "--asset-id", "ABC"], f"{OLD} is the champion for {slot}, in place of {NEW}"),
        (["promote", NEW], f"{NEW} is the champion for {slot}, in place of {OLD}{unjudged}"),
        (["retire", OLD], f"{OLD} is retired: roll-backs skip it"),
        (["retire", NEW], f"{NEW} is retired: {slot} now has no champion"),
    ]:
        capsys.readouterr()
        assert run(monkeypatch, *arguments) == 0
        shown = capsys.readouterr()
        assert (shown.out, shown.err) == (f"{said}\n", "")


def test_a_promotion_says_what_the_last_evaluation_said_wherever_the_model_lay(models, monkeypatch, capsys):
    record_evaluation(str(models / OLD), evaluation_of_model(OLD, "2021-04-05T06:00:00Z", decision="ship"))
    # Of a model among the results the evaluation is beside the registry's, too.
    record_evaluation(str(models), evaluation_of_model(OLD, "2021-05-06T06:00:00Z", decision="not shown"))
    record_evaluation(str(models), evaluation_of_model(OLD, "2021-05-07T06:00:00Z"))
    record_evaluation(str(models), evaluation_of_model(NEW, "2021-05-08T06:00:00Z", decision="keep"))
    for _ in range(2):
        capsys.readouterr()
        assert run(monkeypatch, "promote", OLD) == 0
        said = "; its last evaluation, of 2021-05-06, said 'not shown'\n"
        assert capsys.readouterr().out.endswith(said)


def test_the_list_has_a_table_for_each_slot_within_80_columns(models, tmp_path, monkeypatch, capsys):
    run(monkeypatch, "add", make_model(tmp_path / "results", "weekly", horizon=7))
    capsys.readouterr()
    assert run(monkeypatch, "list") == 0
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    assert [(state, model, until) for state, model, until, _ in cells] == [
        ("champion", NEW, "2021-02-03"),
        ("retired", OLD, "2021-02-03"),
        ("challenger", "weekly", "2021-02-03"),
    ]
    assert lines[0].strip() == "ABC log_return_close, 1 step ahead"
    assert f"a roll-back reinstates {OLD}" in lines
    assert max(map(len, lines)) <= 80


def test_a_model_is_shown_with_its_evaluations_and_its_history(models, monkeypatch, capsys):
    record_evaluation(str(models / OLD), evaluation_of_model(OLD, "2021-04-05T06:00:00Z", decision="ship"))
    capsys.readouterr()
    assert run(monkeypatch, "show", OLD) == 0
    shown = capsys.readouterr().out
    assert "400 rows, 2020-01-01 to 2021-02-03" in shown
    assert "│ 2021-04-05 06:00 │ 2021-02-04 │ 2021-04-04 │ ship     │" in shown
    assert f"{models}/{OLD}" in shown.replace("\n", "").replace(" ", "")
    assert shown.count("by verdict: ship") == 2
    assert f"replaced: {NEW}" in " ".join(shown.replace("│", " ").split())
    assert max(map(len, shown.splitlines())) <= 80


def test_as_json_there_is_nothing_else(models, monkeypatch, capsys):
    capsys.readouterr()
    assert run(monkeypatch, "list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(entry["model_id"], entry["state"]) for entry in listed] == [(OLD, "retired"), (NEW, "champion")]
    assert run(monkeypatch, "list", "--json", "--asset-id", "D") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run(monkeypatch, "show", NEW, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["model"], shown["address"], shown["holdout_evaluations"]) == (listed[1], f"{models}/{NEW}", [])
    assert [(change["verb"], change["replaces"]) for change in shown["history"]] == [("add", None), ("promote", OLD)]


def test_an_empty_registry_is_said_to_be_so(home, monkeypatch, capsys):
    assert run(monkeypatch, "list") == 0
    assert run(monkeypatch, "list", "--asset-id", "ABC") == 0
    none, none_of_asset = capsys.readouterr().out.splitlines()
    assert none == f"no models in {home}/models: add one with 'kallos-run models add FOLDER'"
    assert none_of_asset.startswith(f"no models of ABC in {home}/models")
    assert not home.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["promote", "gru-ABC-0123456789abcdee"], 2, f"did you mean '{OLD}'"),
        (["show", "none"], 2, "the registry holds no model 'none'"),
        (["add", "nowhere"], 2, "must hold manifest.json: there is no nowhere/manifest.json"),
        (["roll-back"], 2, "give the id of its champion, or --asset-id"),
        (["roll-back", NEW, "--asset-id", "ABC"], 2, "give the id of its champion, or --asset-id"),
        (["roll-back", OLD], 2, f"must be from the champion, not {OLD}: {NEW} is"),
        (["roll-back", "--asset-id", "D"], 2, "there is no such model of 'D'"),
        (["promote"], 2, "MODEL requires an argument"),
        (["list", "--registry", "nowhere://user:s3cret@host"], 1, "nowhere://***@host"),
    ],
)
def test_what_is_asked_wrongly_is_one_line(models, monkeypatch, capsys, arguments, code, said):
    capsys.readouterr()
    assert run(monkeypatch, *arguments) == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert "s3cret" not in shown.err
    assert len(shown.err.splitlines()) == 1
    assert shown.out == ""


def test_a_damaged_index_is_one_line_with_exit_code_1(models, monkeypatch, capsys):
    (models / "index.json").write_text("{")
    capsys.readouterr()
    for arguments in (["list"], ["promote", OLD], ["roll-back", NEW]):
        assert run(monkeypatch, *arguments) == 1
        assert capsys.readouterr().err == (
            f"kallos-run: the registry's index must be JSON, and {models}/index.json is not: put a copy of it back; "
            f"nothing was changed\n"
        )


def test_the_commands_of_the_registry_start_without_heavy_libraries():
    heavy = {"prefect", "pandas", "numpy", "sqlalchemy", "optuna", "torch", "darts"}
    assert not heavy & modules_after("import flows.commands.models, flows.terminal.models, kallos.models.registry")
