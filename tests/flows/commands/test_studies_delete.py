"""`kallos-run studies delete`."""

from flows.commands.studies import delete
from kallos.study.catalogue import list_studies
from kallos.study.record import open_record
from kallos.tuner import run_tuning
from tests.samples import by_parameters, small_plan


def test_a_deletion_says_that_results_stay_where_they_are(tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/studies.db"
    plan = small_plan(tmp_path)
    with open_record(url, plan) as record:
        run_tuning(plan, evaluate=by_parameters, record=record)
    delete(plan.study_name, storage_url=url, yes=True)
    assert capsys.readouterr().out == "1 study deleted from the storage; results stay in their folders\n"
    assert list_studies(url) == []
