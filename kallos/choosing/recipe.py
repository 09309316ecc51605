"""From what was asked for and what was found to the trials that are trained."""

from kallos.study.choice import Choice, Choose, HonestChoice, Member
from kallos.study.trials import TrialRecord


def choice_of(choose: Choose, best: TrialRecord, found: HonestChoice) -> Choice:
    """Return the trials whose mean is forecast; the best one, with a note, if what is asked for was not found."""
    alone = (Member(trial=best.number, params=best.params),)
    match choose:
        case "simplest" if found.simplest is not None:
            return Choice(choose=choose, members=(Member(trial=found.simplest.trial, params=found.simplest.params),))
        case "ensemble" if found.ensemble is not None:
            return Choice(choose=choose, members=found.ensemble.members)
        case "best":
            return Choice(choose=choose, members=alone)
        case "simplest":
            note = "there is no simplest trial, so it is the best: its confidence set or its operations are unknown"
        case _:
            note = "there is no ensemble, so it is the best trial: one needs two complete trials and four folds"
    return Choice(choose="best", members=alone, note=note)
