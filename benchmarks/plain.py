"""What people write without Kallos: Optuna's loop around Darts, with the threads that torch takes by default.

    python -m benchmarks.plain SPEC HOME PARAMS [THREADS]

SQL is read in each trial, all folds are run, nothing is cached or pruned. Folds, epochs, patience, space and scoring
are those of the study beside it. SPEC and PARAMS, the parameter sets to try, are JSON: models of one space differ
tenfold in what they cost, and the ratio of two loops that draw their own would say who drew the cheaper ones. Prints
the best parameters as JSON.
"""

import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import sqlalchemy
import torch
from darts import TimeSeries
from darts.models import BlockRNNModel
from pytorch_lightning.callbacks import EarlyStopping
from sklearn.preprocessing import StandardScaler

from benchmarks.studies import features_url, plan_of
from kallos.specs.study import TuneSpec


def tune(spec: TuneSpec, home: Path, params: list[dict[str, Any]]) -> dict[str, Any]:
    """Try these parameter sets in Optuna's loop, and return the best of them with its error."""
    folds = [planned.folds[0] for planned in plan_of(spec, home).folds]
    engine = sqlalchemy.create_engine(features_url(home))

    def objective(trial: optuna.Trial) -> float:
        input_chunk_length = trial.suggest_int("input_chunk_length", 20, 60)
        batch_size = trial.suggest_categorical("batch_size", [32, 64, 128])
        lr = trial.suggest_float("lr", 1e-4, 1e-2, log=True)
        hidden_dim = trial.suggest_int("hidden_dim", 16, 64, log=True)
        n_rnn_layers = trial.suggest_int("n_rnn_layers", 1, 2)
        dropout = trial.suggest_float("dropout", 0.0, 0.5) if n_rnn_layers > 1 else 0.0
        instance_norm = trial.suggest_categorical("use_reversible_instance_norm", [False, True])

        frame = pd.read_sql(
            f"select * from {spec.data.features_table} where asset_id = '{spec.data.asset_id}' order by timestamp",
            engine,
            parse_dates=["timestamp"],
            index_col="timestamp",
        ).drop(columns="asset_id")
        frame = frame.loc[spec.data.start_date : spec.data.end_date]
        target, covariates = frame[[spec.features.target]], frame.drop(columns=spec.features.target)
        scores = []
        for fold in folds:
            fit_stop = int(fold.train_stop * (1 - spec.training.inner_validation))
            target_scaler, scaler = StandardScaler().fit(target[:fit_stop]), StandardScaler().fit(covariates[:fit_stop])
            y = TimeSeries.from_values(target_scaler.transform(target).astype(np.float32))
            x = TimeSeries.from_values(scaler.transform(covariates).astype(np.float32))
            model = BlockRNNModel(
                model="GRU",
                hidden_dim=hidden_dim,
                n_rnn_layers=n_rnn_layers,
                dropout=dropout,
                input_chunk_length=input_chunk_length,
                output_chunk_length=spec.horizon,
                batch_size=batch_size,
                optimizer_kwargs={"lr": lr},
                use_reversible_instance_norm=instance_norm,
                n_epochs=spec.training.max_epochs,
                random_state=spec.seed,
                pl_trainer_kwargs={
                    "accelerator": "cpu",
                    "enable_progress_bar": False,
                    "callbacks": [EarlyStopping("val_loss", patience=spec.training.patience)],
                },
            )
            model.fit(
                y[:fit_stop],
                past_covariates=x[:fit_stop],
                val_series=y[fit_stop - input_chunk_length : fold.train_stop],
                val_past_covariates=x[fit_stop - input_chunk_length : fold.train_stop],
            )
            forecasts = model.historical_forecasts(
                y[: fold.validation_stop],
                past_covariates=x[: fold.validation_stop],
                start=fold.validation_start,
                forecast_horizon=spec.horizon,
                retrain=False,
                last_points_only=False,
            )
            predicted = np.stack([target_scaler.inverse_transform(each.values())[:, 0] for each in forecasts])
            window = target.to_numpy()[fold.validation_start : fold.validation_stop, 0]
            actual = np.lib.stride_tricks.sliding_window_view(window, spec.horizon)
            scores.append(np.sqrt(np.mean((predicted - actual) ** 2)))
        return float(np.mean(scores))

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=spec.seed))
    for each in params:
        study.enqueue_trial({name: value for name, value in each.items() if name != "dropout" or value > 0})
    study.optimize(objective, n_trials=len(params))
    return {"best_params": {"dropout": 0.0, **study.best_params}, "best_value": study.best_value}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for name in ("pytorch_lightning", "darts"):
        logging.getLogger(name).setLevel(logging.ERROR)
    spec, home, params, *threads = sys.argv[1:]
    if threads:
        torch.set_num_threads(int(threads[0]))
    json.dump(tune(TuneSpec.model_validate_json(spec), Path(home), json.loads(params)), sys.stdout)
