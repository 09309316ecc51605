"""Writing a study's trials to Optuna's tables, each time in one transaction.

Optuna's own storage looks up the trial and an earlier distribution for each parameter, which takes more time than all
else that a trial needs. These functions write the same rows.
"""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy
from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy.orm import Session


def insert_trial(storage: RDBStorage, study_id: int, number: int, trial: FrozenTrial) -> int:
    """Write a running trial with its parameters and attributes, and return its id."""
    with Session(storage.engine) as session, session.begin():
        row = models.TrialModel(
            study_id=study_id, number=number, state=trial.state, datetime_start=trial.datetime_start
        )
        session.add(row)
        session.flush()
        trial_id: int = row.trial_id
        session.add_all(
            models.TrialParamModel(
                trial_id=trial_id,
                param_name=name,
                param_value=distribution.to_internal_repr(trial.params[name]),
                distribution_json=distribution_to_json(distribution),
            )
            for name, distribution in trial.distributions.items()
        )
        session.add_all(_attributes(models.TrialUserAttributeModel, trial_id, trial.user_attrs))
        session.add_all(_attributes(models.TrialSystemAttributeModel, trial_id, trial.system_attrs))
    return trial_id


def end_trial(storage: RDBStorage, trial_id: int, ended: FrozenTrial, user_attrs: Mapping[str, Any]) -> None:
    """Write a trial's values, state and more attributes, unless it has ended before."""
    with Session(storage.engine) as session, session.begin():
        row = session.get_one(models.TrialModel, trial_id)
        if row.state.is_finished():
            return
        row.state, row.datetime_complete = ended.state, ended.datetime_complete
        session.add_all(_attributes(models.TrialUserAttributeModel, trial_id, user_attrs))
        for objective, value in enumerate(ended.values or ()):
            stored, kind = models.TrialValueModel.value_to_stored_repr(value)
            session.add(models.TrialValueModel(trial_id=trial_id, objective=objective, value=stored, value_type=kind))


def remove_trials(storage: RDBStorage, study_id: int, first: int) -> None:
    """Remove a study's trials from this number on; Optuna can only delete whole studies."""
    tables = models.BaseModel.metadata.tables
    trials = tables["trials"]
    gone = sqlalchemy.select(trials.c.trial_id).where(trials.c.study_id == study_id, trials.c.number >= first)
    of_trials = [
        table
        for table in tables.values()
        if any(key.target_fullname == "trials.trial_id" for key in table.foreign_keys)
    ]
    with storage.engine.begin() as connection:
        for table in (*of_trials, trials):
            connection.execute(table.delete().where(table.c.trial_id.in_(gone)))


def _attributes(model: type[Any], trial_id: int, attrs: Mapping[str, Any]) -> list[Any]:
    return [model(trial_id=trial_id, key=key, value_json=json.dumps(value)) for key, value in attrs.items()]
