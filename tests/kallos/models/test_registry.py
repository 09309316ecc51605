import json
import shutil
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import fsspec
import pytest

from flows.nightly import promotes
from kallos.errors import KallosError, UsageError
from kallos.evaluation.results import Verdict
from kallos.models.registry import Registry
from kallos.models.registry_index import Slot
from tests.model_folders import make_model

SLOT = Slot(asset_id="ABC", target="log_return_close", horizon=1)
ABC = ("ABC", "log_return_close", 1)


@pytest.fixture(params=["folder", "memory"])
def registry(request, tmp_path):
    """A registry of three challengers A, B and C, on this machine or in an object store, with a clock of whole days."""
    folder = str(tmp_path / "models") if request.param == "folder" else f"memory://{uuid.uuid4().hex}/models"
    days = count()
    registry = Registry(folder, now=lambda: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=next(days)))
    for model_id in "ABC":
        registry.add(make_model(tmp_path / "made", model_id))
    return registry


def states(registry: Registry) -> dict[str, str]:
    return {entry.model_id: entry.state for entry in registry.entries()}


def champion(registry: Registry) -> str | None:
    entry = registry.champion(*ABC)
    return None if entry is None else entry.model_id


def test_what_is_added_is_a_challenger_with_what_its_manifest_says(registry):
    entry = registry.show("A").entry
    assert (entry.state, entry.slot, entry.model_name) == ("challenger", SLOT, "gru")
    assert (entry.data.rows, entry.data.end) == (400, "2021-02-03T00:00:00")
    assert (entry.holdout_start, entry.since) == ("2021-02-04T00:00:00", datetime(2024, 1, 1, tzinfo=UTC))
    assert states(registry) == {"A": "challenger", "B": "challenger", "C": "challenger"}
    assert champion(registry) is None


def test_a_copy_has_every_byte_of_its_source(registry, tmp_path):
    with fsspec.open(f"{registry.folder_of('B')}/weights.pt") as copied:
        assert copied.read() == (tmp_path / "made/B/weights.pt").read_bytes()
    with fsspec.open(f"{registry.folder_of('B')}/scalers/target.json") as copied:
        assert copied.read() == b"{}"


def test_one_model_of_a_slot_is_the_champion_and_the_one_before_is_retired(registry):
    registry.promote("A", "first")
    change = registry.promote("B", "better")
    assert (change.from_state, change.to_state, change.replaces) == ("challenger", "champion", "A")
    assert states(registry) == {"A": "retired", "B": "champion", "C": "challenger"}
    assert champion(registry) == "B"


def test_slots_do_not_touch_each_other(registry, tmp_path):
    registry.promote("A", "")
    for model_id, over in {"D": {"asset_id": "D"}, "T": {"target": "close"}, "H": {"horizon": 5}}.items():
        registry.add(make_model(tmp_path / "made", model_id, **over))
        registry.promote(model_id, "")
    assert {model for model, state in states(registry).items() if state == "champion"} == {"A", "D", "T", "H"}
    assert registry.champion("ABC", "log_return_close", 5).model_id == "H"
    assert registry.folders("ABC", "close", 1) == (registry.folder_of("T"),)
    with pytest.raises(KallosError, match="ABC log_return_close, 5 steps ahead has no previous champion"):
        registry.roll_back("H", "")
    with pytest.raises(UsageError, match="must match one slot of the registry, and 3 match: ABC log_return_close"):
        registry.slot("ABC")
    assert registry.slot("ABC", horizon=5).horizon == 5


def test_roll_backs_go_back_one_by_one_until_nothing_is_before(registry):
    for model_id in "ABC":
        registry.promote(model_id, "")
    assert registry.roll_back(SLOT, "C is bad").replaces == "C"
    assert states(registry) == {"A": "retired", "B": "champion", "C": "retired"}
    registry.roll_back("B", "so is B")
    assert states(registry) == {"A": "champion", "B": "retired", "C": "retired"}
    with pytest.raises(KallosError, match="has no previous champion: promote one of its models instead"):
        registry.roll_back(SLOT, "")
    registry.promote("C", "was good after all")
    registry.roll_back(SLOT, "no")
    assert champion(registry) == "A"


def test_a_roll_back_said_twice_does_not_go_two_steps_back(registry):
    for model_id in "ABC":
        registry.promote(model_id, "")
    registry.roll_back("C", "")
    with pytest.raises(UsageError, match="must be from the champion, not C: B is the champion"):
        registry.roll_back("C", "")
    assert champion(registry) == "B"


def test_to_promote_the_champion_changes_nothing(registry):
    registry.promote("A", "first")
    before = registry.show("A")
    assert registry.promote("A", "again").reason == "first"
    assert registry.show("A") == before


def test_the_champion_may_be_retired_and_the_slot_is_empty_then(registry):
    registry.promote("A", "")
    registry.promote("B", "")
    registry.retire("B", "leaks")
    assert (champion(registry), states(registry)["B"]) == (None, "retired")
    with pytest.raises(UsageError, match="B was retired on 2024-01-06"):
        registry.retire("B", "")
    registry.roll_back(SLOT, "")
    assert champion(registry) == "A"


def test_roll_backs_pass_over_what_was_retired(registry):
    for model_id in "ABAC":
        registry.promote(model_id, "")
    registry.retire("B", "leaks")
    registry.roll_back("C", "")
    assert champion(registry) == "A"
    with pytest.raises(KallosError, match="has no previous champion"):
        registry.roll_back("A", "")
    registry.promote("B", "does not leak")
    assert champion(registry) == "B"


def test_every_change_is_in_the_history_with_its_reason(registry):
    registry.promote("A", "first")
    registry.promote("B", "by verdict: ship")
    registry.roll_back("B", "drifts")
    told = [
        (each.time.day, each.verb, each.model_id, each.from_state, each.to_state, each.replaces, each.reason)
        for each in registry.show("A").history
    ]
    assert told == [
        (1, "add", "A", None, "challenger", None, ""),
        (4, "promote", "A", "challenger", "champion", None, "first"),
        (5, "promote", "B", "challenger", "champion", "A", "by verdict: ship"),
        (6, "roll-back", "A", "retired", "champion", "B", "drifts"),
    ]


def test_an_unknown_model_is_named_with_the_one_that_was_meant(registry, tmp_path):
    for change in (registry.promote, registry.roll_back, registry.retire):
        with pytest.raises(UsageError, match="holds no model 'a': did you mean 'A'"):
            change("a", "")
    empty = Registry(str(tmp_path / "none"))
    assert empty.entries() == ()
    with pytest.raises(UsageError, match="there are none"):
        empty.promote("A", "")
    assert not (tmp_path / "none").exists()


def test_adding_the_same_twice_is_the_same_entry(registry, tmp_path):
    registry.promote("A", "")
    (tmp_path / "made/A/holdout_evaluations").mkdir()
    (tmp_path / "made/A/holdout_evaluations/one.json").write_text("{}")
    before = registry.show("A")
    assert registry.add(str(tmp_path / "made/A")) == before.entry
    assert registry.show("A") == before
    with fsspec.open(f"{registry.folder_of('A')}/holdout_evaluations/one.json") as copied:
        assert copied.read() == b"{}"


def test_a_model_that_was_made_in_the_registry_itself_is_added_where_it_lies(tmp_path):
    made = Path(make_model(tmp_path, "A"))
    (made / ".notes").write_text("not copied, and not lost")
    Registry(str(tmp_path)).add(str(made))
    assert states(Registry(str(tmp_path))) == {"A": "challenger"}
    assert (made / ".notes").exists()


def test_other_content_under_the_same_id_is_refused(registry, tmp_path):
    shutil.rmtree(tmp_path / "made/A")
    make_model(tmp_path / "made", "A", holdout_start=None)
    before = registry.entries()
    with pytest.raises(KallosError, match=r"the registry holds another A, of 2024-01-01, that differs from .*made/A"):
        registry.add(str(tmp_path / "made/A"))
    assert registry.entries() == before
    registry.promote("A", "the copy is whole")


def test_a_damaged_copy_never_becomes_the_champion_and_is_mended_by_adding_it_again(registry, tmp_path):
    registry.promote("A", "")
    registry.promote("B", "")
    with fsspec.open(f"{registry.folder_of('A')}/weights.pt", "wb") as file:
        file.write(b"others")
    for change in (lambda: registry.roll_back("B", ""), lambda: registry.promote("A", "")):
        with pytest.raises(KallosError, match=r"must be intact, and .*/A is damaged: add the model again"):
            change()
    assert champion(registry) == "B"
    registry.add(str(tmp_path / "made/A"))
    registry.roll_back("B", "")
    assert champion(registry) == "A"


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"model_id": "../A"}, "must be the manifest of a model: model_id: String should match"),
        ({"model_id": "index.json"}, "model_id"),
        ({"horizon": 0}, "horizon"),
        ({"target": None}, "target"),
        ({"data": None}, "data"),
        ({"data": {"rows": 1}}, r"data\.sha256"),
        ({"files": None}, "files"),
        ({"files": {"weights.pt": {"sha256": "5e" * 32}}}, r"weights\.pt is changed"),
        ({"files": {"scalers/features.json": {"sha256": "5e" * 32}}}, r"scalers/features\.json is missing"),
    ],
)
def test_a_manifest_that_is_none_is_refused_and_nothing_is_made(tmp_path, over, said):
    model = Path(make_model(tmp_path))
    manifest = json.loads((model / "manifest.json").read_text())
    (model / "manifest.json").write_text(json.dumps({**manifest, **over}))
    with pytest.raises(UsageError, match=said) as caught:
        Registry(str(tmp_path / "models")).add(str(model))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "models").exists()


def test_a_folder_without_a_manifest_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match=r"must hold manifest\.json"):
            Registry(str(tmp_path / "models")).add(str(folder))


def test_passwords_of_addresses_are_never_shown(tmp_path):
    registry = Registry("memory://user:s3cret@host/models")
    registry.add(make_model(tmp_path))
    with pytest.raises(UsageError) as caught:
        registry.add("memory://user:s3cret@host/none")
    shown = [registry.address, registry.show("gru-ABC-1").address, str(caught.value)]
    assert all("//***@host" in each and "s3cret" not in each for each in shown)


def spoilt(text: str) -> dict[str, str]:
    """Return indices that must not be believed, by what is said of each."""
    index = json.loads(text)
    first, *others = index["models"]
    return {
        "must be JSON": text[: len(text) // 2],
        "must be one of Kallos": json.dumps({"models": []}),
        "has 3: update Kallos": json.dumps({**index, "version": 3, "news": 1}),
        "news: Extra inputs": json.dumps({**index, "news": 1}),
        "do not follow from its history": json.dumps({**index, "models": [{**first, "state": "champion"}, *others]}),
        "change 1 is of a model that is not in it": json.dumps({**index, "models": others}),
        "change 3 does not follow": json.dumps({**index, "history": [*index["history"][:2], *index["history"][3:]]}),
        "a model is in it twice": json.dumps({**index, "models": [first, *index["models"]]}),
    }


@pytest.mark.parametrize("said", spoilt('{"models": [{}], "history": []}'))
def test_an_index_that_cannot_be_believed_is_one_line_and_stays_what_it_is(tmp_path, said):
    registry = Registry(str(tmp_path / "models"))
    for model_id in "AB":
        registry.add(make_model(tmp_path, model_id))
    registry.promote("A", "")
    registry.promote("B", "")
    index = tmp_path / "models/index.json"
    text = spoilt(index.read_text())[said]
    index.write_text(text)
    made = make_model(tmp_path, "C")
    for use in (registry.entries, lambda: registry.promote("A", ""), lambda: registry.add(made)):
        with pytest.raises(KallosError, match=said) as caught:
            use()
        assert "\n" not in str(caught.value)
        assert "nothing was changed" in str(caught.value)
    assert index.read_text() == text
    assert not (tmp_path / "models/C").exists()


def test_a_registry_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(KallosError, match=f"{tmp_path}/file"):
        Registry(f"{tmp_path}/file/models").add(make_model(tmp_path))


@pytest.mark.parametrize(("decision", "is_promoted"), [("ship", True), ("keep", False), ("not shown", False)])
def test_by_verdict_only_what_is_to_ship_is_promoted(decision, is_promoted):
    assert promotes(Verdict(decision=decision, reasons=())) is is_promoted


def run_script(script: str, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True)


ADD_ALL = """
import sys
from kallos.models.registry import Registry
for folder in sys.argv[2:]:
    Registry(sys.argv[1]).add(folder)
"""


def test_two_processes_may_add_at_once(tmp_path):
    made = [make_model(tmp_path / "made", f"{side}{number}") for side in "LR" for number in range(10)]
    models = str(tmp_path / "models")
    # Both sides add all, from either end: half of the models are added by both at about the same time.
    processes = [run_script(ADD_ALL, models, *order) for order in (made, made[::-1])]
    assert [process.wait() for process in processes] == [0, 0]
    assert sorted(entry.model_id for entry in Registry(models).entries()) == sorted(Path(each).name for each in made)


# Forks processes that make changes and are killed with -9 in the midst, at the n-th call of what touches files. A line
# for each: whether it was killed, how many changes it had finished, the states and the number of changes thereafter.
KILLED = """
import json, os, random, signal, sys
from pathlib import Path
from kallos.models.registry import Registry

verb, folder, n_processes, *models = sys.argv[1:]
touching_files = ("kallos/storage.py", "fsspec/implementations/local.py", "shutil.py")

def make_changes(seed, said):
    registry = Registry(folder)
    fatal_call = random.Random(seed).randrange(1, 7000)
    calls = 0
    def count(frame, *_):
        nonlocal calls
        calls += frame.f_code.co_filename.endswith(touching_files)
        if calls == fatal_call:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.setprofile(count)
    for number in range(99):
        if verb == "promote":
            registry.promote("BA"[number % 2], "back and forth")
        else:
            registry.add(models[(seed + number) % len(models)])
        os.write(said, b".")

for seed in range(int(n_processes)):
    heard, said = os.pipe()
    process = os.fork()
    if not process:
        make_changes(seed, said)
        os._exit(0)
    _, status = os.waitpid(process, 0)
    os.close(said)
    states = {entry.model_id: entry.state for entry in Registry(folder).entries()}
    n_changes = len(json.loads((Path(folder) / "index.json").read_text())["history"]) if states else 0
    print(json.dumps([os.WIFSIGNALED(status), len(os.read(heard, 99)), states, n_changes]), flush=True)
"""


def killed(verb: str, folder: str, n_processes: int, *models: str) -> list[list]:
    process = run_script(KILLED, verb, folder, str(n_processes), *models)
    lines = process.communicate()[0].splitlines()
    assert process.returncode == 0
    return [json.loads(line) for line in lines]


def test_a_kill_leaves_the_index_as_it_was_before_a_promotion_or_after(tmp_path):
    folder = str(tmp_path / "models")
    for model_id in "AB":
        Registry(folder).add(make_model(tmp_path, model_id))
    Registry(folder).promote("A", "")
    n_before = 3
    for was_killed, n_finished, states, n_changes in killed("promote", folder, 25):
        assert was_killed
        assert sorted(states) == ["A", "B"]
        assert sorted(states.values()) in (["challenger", "champion"], ["champion", "retired"])
        # A first promotion of the model that is the champion already is no change.
        assert n_changes - n_before in {n_finished - 1, n_finished, n_finished + 1}
        n_before = n_changes
    registry = Registry(folder)
    registry.promote("A", "")
    registry.promote("B", "")
    assert registry.roll_back("B", "").model_id == "A"
    assert sorted(path.name for path in Path(folder).iterdir()) == [".lock", "A", "B", "index.json"]


def test_a_kill_leaves_a_model_whole_in_the_registry_or_not_in_it(tmp_path):
    folder = tmp_path / "models"
    ids = [f"M{number:02}" for number in range(20)]
    models = [make_model(tmp_path, model_id) for model_id in ids]
    for was_killed, n_finished, states, n_changes in killed("add", str(folder), 15, *models):
        assert was_killed
        assert n_changes == len(states) >= n_finished
        for model_id in states:
            assert (folder / model_id / "weights.pt").read_bytes() == (tmp_path / model_id / "weights.pt").read_bytes()
    registry = Registry(str(folder))
    for model in models:
        registry.add(model)
        registry.promote(Path(model).name, "whole")
    assert sorted(path.name for path in folder.iterdir()) == [".lock", *ids, "index.json"]
