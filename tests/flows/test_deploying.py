"""What `prefect deploy` makes of study files."""

from pathlib import Path

import pytest

from flows.deploying import read_grid, read_study
from kallos.specs.grid import StudyGrid

STUDIES = Path(__file__).parents[2] / "deployments" / "studies"


def test_a_file_of_many_studies_is_a_parameter_that_stands_for_all_of_them():
    grid = StudyGrid.model_validate(read_grid(str(STUDIES / "many.toml"))["grid"])
    assert grid.title == "gru, lstm on all assets"
    assert [(each.data.asset_id, each.model_name) for each in grid.studies(["SPX"])] == [
        ("SPX", "gru"),
        ("SPX", "lstm"),
    ]


def test_a_wrong_field_ends_the_deployment_with_a_line_that_names_it(tmp_path):
    file = tmp_path / "many.toml"
    file.write_text((STUDIES / "many.toml").read_text().replace("n_trials = 8", "n_trails = 8"))
    with pytest.raises(SystemExit, match=r"many\.toml: .*n_trails"):
        read_grid(str(file))


def test_what_a_run_is_given_is_passed_on_alone_and_a_wrong_field_of_it_is_one_line():
    file = str(STUDIES / "nightly.toml")
    assert read_study(file, run={"more_trials": 4})["run"] == {"more_trials": 4}
    assert read_study(file)["run"] == {}
    with pytest.raises(SystemExit, match=r"^run in prefect\.yaml: more_trails is not a field: did you mean"):
        read_study(file, run={"more_trails": 4})
