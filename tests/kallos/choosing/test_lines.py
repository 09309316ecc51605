from types import SimpleNamespace

import pytest

from kallos.choosing.lines import choosing_lines, confidence_line, ensemble_line, superiority_line
from kallos.specs.metrics import BUILT_IN
from kallos.study.choice import ConfidenceSet, Ensemble, HonestChoice, Member, OnLaterFolds, Simplest, Superiority
from tests.report_samples import deflation

BEST = Member(trial=7, params={"architecture": "ridge"}, weight=1)


def architecture_of(params):
    return params["architecture"]


def a_set(near, every, distinct=None):
    return ConfidenceSet(
        level=0.1,
        trials=tuple(range(near)),
        p_values={number: 1.0 if number < near else 0.0 for number in range(every)},
        distinct=every if distinct is None else distinct,
        block_length=1,
        resamples=1,
        method="",
        source="",
    )


def an_ensemble(members, saving=0.031, saving_is="share"):
    return Ensemble(
        members=tuple(
            Member(trial=number, params={"architecture": name}, weight=times / sum(each[2] for each in members))
            for number, name, times in members
        ),
        picks=sum(each[2] for each in members),
        by_fold=(1.0,),
        value=1.0,
        on_later_folds=OnLaterFolds(value=0.97, best_value=1.0, saving=saving, saving_is=saving_is, won=3, folds=4),
        candidates=30,
        source="",
    )


MIXED = [(3, "tide", 1), (8, "tide", 1), (1, "ridge", 1), (4, "lightgbm", 1)]


def lines(found, *, trials=30, folds=5):
    result = SimpleNamespace(
        trials=[SimpleNamespace(value=1.0)] * trials,
        windows=[None] * folds,
        spec=SimpleNamespace(model_name="tide,ridge,lightgbm"),
        metric=BUILT_IN["rmse"],
    )
    return list(choosing_lines(result, found))


def test_what_was_chosen_takes_two_lines():
    assert lines(HonestChoice(confidence=a_set(21, 30), ensemble=an_ensemble(MIXED))) == [
        "21 of 30 trials cannot be told from the best",
        "an ensemble of 4 (tide 2, ridge 1, lightgbm 1); ensembles picked on earlier folds save 3.1% more than the "
        "best so picked",
    ]


@pytest.mark.parametrize(
    ("near", "every", "distinct", "expected"),
    [
        (1, 30, 30, "the best of 30 trials can be told from all others"),
        (30, 30, 30, "none of 30 trials can be told from the best"),
        (30, 30, 1, "all 30 trials make the same errors"),
        (12, 30, 25, "12 of 30 trials cannot be told from the best (25 of the 30 differ)"),
    ],
)
def test_a_confidence_set_in_words(near, every, distinct, expected):
    assert confidence_line(a_set(near, every, distinct)) == expected


@pytest.mark.parametrize(
    ("saving", "saving_is", "expected"),
    [
        (-0.012, "share", "are 1.2% worse than the best so picked"),
        (0.0, "share", "are as good as the best so picked"),
        (-0.0004, "share", "are as good as the best so picked"),
        (0.013, "difference", "are 0.013 better than the best so picked"),
        (-0.013, "difference", "are 0.013 worse than the best so picked"),
        (None, "share", "score 0.97 against 1 of the best so picked"),
    ],
)
def test_a_saving_in_words(saving, saving_is, expected):
    assert ensemble_line(an_ensemble(MIXED, saving, saving_is), architecture_of).endswith(
        f"; ensembles picked on earlier folds {expected}"
    )


def test_members_of_one_architecture_are_named_by_their_numbers():
    line = ensemble_line(an_ensemble([(3, "gru", 2), (8, "gru", 1)]), architecture_of)
    assert line.startswith("an ensemble of 3 (trial 3 twice, trial 8); ")


def test_an_ensemble_of_one_says_so():
    line = ensemble_line(an_ensemble([(3, "gru", 1)], -0.01), architecture_of)
    assert line == (
        "an ensemble of trial 3 alone: no other one improves it on all folds; ensembles picked on earlier folds are "
        "1.0% worse than the best so picked"
    )


def test_where_there_is_nothing_to_choose_or_to_pick_on_the_lines_say_so():
    assert lines(HonestChoice(deflation=deflation()), trials=1) == ["one complete trial: nothing to choose from"]
    assert lines(HonestChoice(), folds=3) == []
    assert lines(HonestChoice(deflation=deflation()), folds=3) == [
        "too few forecasts to tell which of 30 trials differ from the best",
        "no ensemble: to pick one on earlier folds takes 4 folds, and there are 3",
    ]


def test_a_test_against_the_baseline_in_words():
    tested = Superiority(p_value=0.0123, baseline="ewma", trials=30, block_length=1, resamples=1, method="", source="")
    assert superiority_line(tested) == (
        "the best of 30 trials against the baseline (ewma): p = 0.012, corrected for the number of trials"
    )
    none = tested.model_copy(update={"p_value": 0.0})
    assert "p < 0.001, corrected" in superiority_line(none)


SIMPLEST = Simplest(trial=2, params={"architecture": "ridge"}, value=1.1, operations=1, best_operations=9)


def test_the_choice_is_what_was_asked_for_if_it_was_found():
    found = HonestChoice(simplest=SIMPLEST, ensemble=an_ensemble(MIXED))
    of_each = {choose: found.choice(choose, BEST) for choose in ("best", "simplest", "ensemble")}
    assert {choose: choice.choose for choose, choice in of_each.items()} == {choose: choose for choose in of_each}
    assert [member.trial for member in of_each["best"].members] == [7]
    assert [member.trial for member in of_each["simplest"].members] == [2]
    assert [member.trial for member in of_each["ensemble"].members] == [3, 8, 1, 4]
    assert {choice.note for choice in of_each.values()} == {None}


@pytest.mark.parametrize(("choose", "reason"), [("simplest", "no simplest trial"), ("ensemble", "four folds")])
def test_what_was_not_found_is_the_best_trial_with_the_reason(choose, reason):
    choice = HonestChoice().choice(choose, BEST)
    assert (choice.choose, choice.members) == ("best", (BEST,))
    assert reason in choice.note
