from inspect import signature
from typing import get_args

import pytest

from flows.commands.tune_all import tune_all
from flows.flags import flags_of, nested
from kallos.specs.study import TuneSpec, parse_tune_spec

FLAGS = list(flags_of(TuneSpec, "Study"))


def test_no_two_flags_share_a_name():
    names = [flag.name for flag in FLAGS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_every_flag_says_what_it_does(flag):
    assert len(get_args(flag.parameter.annotation)[1].help) > 10


def test_flags_that_were_given_land_where_the_specification_has_them():
    values = nested(FLAGS, {"asset_id": "BTC", "n_folds": 3, "n_trials": 7, "seed": None})
    spec = parse_tune_spec(values)
    assert (spec.data.asset_id, spec.folds.n_folds, spec.n_trials) == ("BTC", 3, 7)
    assert spec.seed == TuneSpec(data={"asset_id": "BTC"}).seed


def test_a_grid_takes_no_flag_of_one_asset_or_one_model_that_its_own_would_outdo():
    names = set(signature(tune_all).parameters)
    assert {"assets", "models", "n_trials"} <= names
    assert not {"asset_id", "model_name"} & names


def test_a_field_of_a_name_or_a_list_takes_one_name_as_its_flag():
    by_name = {flag.name: flag for flag in FLAGS}
    for name in ("asset_id", "target"):
        assert get_args(get_args(by_name[name].parameter.annotation)[0]) == (str, type(None))
