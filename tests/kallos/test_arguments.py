"""What is called from Python refuses a wrong argument by its name, in one line that says what to do."""

import inspect
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

from kallos.architectures import Architecture, create_model, darts_arguments
from kallos.audit import audit_query, audit_study
from kallos.cache import FoldCache
from kallos.checks import examine
from kallos.contracts import check_architecture
from kallos.datasets import get_walk_forward_splits, load_features_from_db, prepare_darts_timeseries
from kallos.errors import KallosError
from kallos.features.files.features import read_features
from kallos.features.files.prices import read_bars, read_prices
from kallos.features.files.rows import InputReading
from kallos.features.files.sources import Source
from kallos.features.frequency import Frequency, find_frequency
from kallos.folds.columns import study_frame
from kallos.folds.cut import Fold
from kallos.models.files import load_model
from kallos.models.forecasting import forecast_next, forecast_windows
from kallos.models.registry import Registry
from kallos.models.trained import TrainedModel
from kallos.planning import plan_study
from kallos.scoring.fold import evaluate_fold
from kallos.scoring.metrics import Forecast, Scoring, columns_of
from kallos.scoring.positions import Trading
from kallos.specs.data import FeatureSpec
from kallos.specs.study import parse_spec, parse_tune_spec
from kallos.study.budget import Budget
from kallos.study.record import StudyRecord, check_record, open_record
from kallos.tuner import forget, objective, run_tuning
from kallos.workers.dask import DaskPool
from kallos.workers.processes import FoldPool
from tests.samples import make_features, small_plan, small_spec

DF = make_features(200)
FOLD = Fold(number=1, train_start=0, train_stop=150, validation_start=150, validation_stop=190)
TRIAL = optuna.trial.FixedTrial({})


def refusal(act) -> str:
    with pytest.raises(KallosError) as refused:
        act()
    line = str(refused.value)
    assert "\n" not in line
    return line


def splits(df=DF, **over):
    return lambda: get_walk_forward_splits(df, **{"window": 40, "n_folds": 2, **over})


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda: load_features_from_db(Path("features.db"), "A"), "db_url must be a str, not a PosixPath"),
        (lambda: load_features_from_db("sqlite:///x.db", 7), "asset_id must be"),
        (lambda: load_features_from_db("sqlite:///x.db", "A", features_table=3), "features_table must be"),
        (lambda: load_features_from_db("sqlite:///x.db", "A", timeout=0), "timeout must be a number above 0, not 0"),
        (lambda: load_features_from_db("sqlite:///x.db", "A", on_rows=3), "on_rows must be a function, not an int"),
        (splits([1, 2]), "df must be a DataFrame, not a list"),
        (splits(DF["macd"]), "df must be a DataFrame, not a Series"),
        (splits(n_folds=0), "n_folds must be greater than 0, not 0"),
        (splits(n_folds="three"), "n_folds must be a valid integer"),
        (splits(window="decade"), "window"),
        (splits(label_horizon=-1), "label_horizon must be a whole number of at least 0, not -1"),
        (splits(label_horizon="7"), "label_horizon must be a whole number of at least 0, not '7'"),
        (splits(frequency=pd.Timedelta("1D")), "frequency must be a str or None, not a Timedelta"),
        (lambda: prepare_darts_timeseries(DF, (0, 150, 190)), "fold must be a Fold, not a tuple"),
        (lambda: prepare_darts_timeseries(DF, FOLD, small_spec()), "features must be a FeatureSpec or None, not a"),
        (lambda: prepare_darts_timeseries(DF, FOLD, fit_rows=0), "fit_rows must be a whole number of at least 1"),
        (lambda: study_frame(DF, small_spec()), "features must be a FeatureSpec, not a TuneSpec; give its 'features'"),
        (lambda: study_frame(DF.rename(columns={"macd": 1}), FeatureSpec()), "must be text, not 1"),
        (
            lambda: study_frame(DF.rename(columns={"macd": "rsi_14"}), FeatureSpec()),
            "must be unique: rsi_14 occurs more than once",
        ),
        (lambda: create_model(None), "model_name must be a str, not None"),
        (lambda: create_model("gru", [1]), "params must be a Mapping or None, not a list"),
        (lambda: create_model("gru", horizon=0), "horizon must be a whole number of at least 1, not 0"),
        (lambda: create_model("gru", seed=1.5), "seed must be a whole number of at least 0, not 1.5"),
        (lambda: create_model("gruu"), "did you mean 'gru'"),
        (lambda: evaluate_fold({"params": {}}), "job must be a FoldJob, not a dict"),
        (lambda: objective(TRIAL, small_spec()), "plan must be a StudyPlan, not a TuneSpec"),
        (lambda: run_tuning(small_spec()), "plan must be a StudyPlan, not a TuneSpec"),
        (lambda: plan_study(DF.to_numpy(), small_spec(), "x"), "frame must be a DataFrame, not a ndarray"),
        (lambda: plan_study(DF, small_spec().features, "x"), "spec must be a TuneSpec, not a FeatureSpec"),
        (lambda: plan_study(DF, small_spec(), None), "snapshots must be a str or a Path, not None"),
        (lambda: FoldCache(None), "folder must be a str or a Path, not None"),
        (lambda: parse_spec(FeatureSpec, {"traget": "x"}), "traget is not a field: did you mean 'target'?"),
        (lambda: parse_tune_spec({"data": {}}), "data.asset_id is missing"),
        (lambda: check_architecture("gruu"), "did you mean 'gru'"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_refused_by_its_name(act, said):
    assert said in refusal(act)


HOLDOUT = {"window": "month", "holdout": 1}


# Every function and class that README and docs name, and those beside them, with arguments that are sound.
SPEC, READING = small_spec(), InputReading(asset_id="A")
TRAINED = object.__new__(TrainedModel)
ZEROS = Forecast.of_points(np.zeros((3, 1, 1)))
SURFACE = {
    load_features_from_db: {"db_url": "sqlite:///x.db", "asset_id": "A"},
    get_walk_forward_splits: {"df": DF, "n_folds": 2, "window": 40},
    prepare_darts_timeseries: {"df": DF, "fold": FOLD},
    study_frame: {"frame": DF, "features": FeatureSpec()},
    examine: {"rows": DF, "spec": SPEC},
    find_frequency: {"index": DF.index},
    Frequency.of: {"text": "D"},
    read_prices: {"path": "prices.csv"},
    read_bars: {"sources": [Source("a.csv")], "reading": READING},
    read_features: {"sources": [Source("a.csv")], "reading": READING},
    create_model: {"model_name": "ridge"},
    plan_study: {"frame": DF, "spec": SPEC, "snapshots": "memory://never-written"},
    evaluate_fold: {},
    objective: {"trial": TRIAL},
    run_tuning: {},
    forget: {"record": object.__new__(StudyRecord), "cache": object.__new__(FoldCache)},
    open_record: {"storage_url": "sqlite:///x.db"},
    check_record: {"storage_url": "sqlite:///x.db"},
    FoldCache: {"folder": "memory://never-written"},
    Budget: {},
    FoldPool: {"workers": 1},
    DaskPool: {"address": "tcp://host:8786"},
    load_model: {"folder": "model"},
    Registry: {"folder": "models"},
    forecast_next: {"model": TRAINED, "frame": DF},
    forecast_windows: {"model": TRAINED, "frame": DF, "start": 0, "stop": 5},
    audit_query: {"load": lambda end_date: DF, "features": FeatureSpec()},
    audit_study: {"frame": DF, "spec": SPEC},
    check_architecture: {"name": "ridge"},
    columns_of: {"names": ["mae"], "forecast": ZEROS, "actual": ZEROS.point, "scoring": Scoring((2,))},
    Forecast: vars(ZEROS),
    Scoring: {"powers": (2,)},
    Trading: {},
}


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return small_plan(tmp_path_factory.mktemp("plan"))


@pytest.mark.parametrize(
    ("call", "name"),
    [(call, name) for call in SURFACE for name in inspect.signature(call).parameters],
    ids=lambda each: each if isinstance(each, str) else each.__qualname__,
)
def test_whatever_is_no_sound_argument_is_refused_by_its_name(plan, call, name):
    wrong = object()
    sound = {"plan": plan} if "plan" in inspect.signature(call).parameters else {}
    enter = open_record(**{**sound, **SURFACE[call], name: wrong}).__enter__ if call is open_record else call
    given = {} if call is open_record else {**sound, **SURFACE[call], name: wrong}
    with pytest.raises(KallosError) as refused:
        enter(**given)
    assert re.search(rf"\b{name}\b", str(refused.value))
    assert "\n" not in str(refused.value)


def test_each_function_that_readme_and_docs_name_is_among_them():
    pages = [Path("README.md"), *Path("docs").glob("*.md")]
    named = [
        getattr(import_module(module), name.strip())
        for page in pages
        for module, names in re.findall(r"^from (kallos[.\w]*) import ([\w, ]+)$", page.read_text(), re.M)
        for name in names.split(",")
    ]
    # Specifications are checked by pydantic, recipes when they are looked up.
    functions = {each for each in named if callable(each) and not hasattr(each, "model_fields")}
    assert functions - {Architecture, darts_arguments} <= set(SURFACE)
    assert len(named) > 20


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda: examine(DF, FeatureSpec()), "spec must be a TuneSpec, not a FeatureSpec"),
        (lambda: find_frequency(DF, "D"), "index must be an Index, not a DataFrame"),
        (lambda: read_bars("x.csv", READING), "sources must be a list of Source, not a str"),
        (lambda: read_bars(["x.csv"], READING), "sources[0] must be a Source, not a str"),
        (lambda: read_prices("x.csv"), "there is no x.csv"),
        (
            lambda: create_model("ridge", {"input_chunk_length": "x"}),
            "params['input_chunk_length'] must be a whole number, not a str",
        ),
        (lambda: create_model("ridge", {"input_chunk_length": -1}), "ridge cannot be fitted: ValueError"),
        (lambda: create_model("gru", quantiles=3), "quantiles must be a tuple or a list or None, not an int"),
        (lambda: create_model("gru", quantiles=[0.1]), "use other params or quantiles"),
        (lambda: Budget(timeout=-1), "timeout must be a number of at least 0, not -1"),
        (lambda: FoldPool(0), "workers must be a whole number of at least 1, not 0"),
        (lambda: study_frame(DF, FeatureSpec(), fill="back"), "fill must be 'none' or 'forward', not 'back'"),
    ],
)
def test_what_is_nearly_right_is_refused_with_what_it_must_be(act, said):
    assert said in refusal(act)


def with_index(index) -> pd.DataFrame:
    return DF.set_axis(index, axis=0)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (
            DF.tz_localize("Europe/Berlin"),
            "must have no time zone, and are in Europe/Berlin; convert them to UTC with {name}.tz_convert(None)",
        ),
        (DF.iloc[:0], "{name} must have rows, and is empty"),
        (DF.iloc[::-1], "the rows of {name} must be unique and sorted by their index"),
        (pd.concat([DF, DF]).sort_index(), "the rows of {name} must be unique and sorted by their index"),
        (with_index(DF.index.strftime("%Y-%m-%d")), "must be indexed by timestamps or integers, not by"),
        (with_index(np.arange(200) / 2), "must be indexed by timestamps or integers, not by float64"),
        (with_index(DF.index.to_period("D")), "must be indexed by timestamps or integers, not by period[D]"),
        (with_index(DF.index.where(DF.index != DF.index[3])), "every row of {name} must have a timestamp, and 1 have"),
        (pd.concat({"A": DF}), "{name} must have rows of one asset, and has an index of 2 levels"),
    ],
    ids=["zone", "empty", "unsorted", "doubled", "text", "floats", "periods", "missing", "assets"],
)
@pytest.mark.parametrize(
    ("name", "act"),
    [
        ("df", lambda frame: get_walk_forward_splits(frame, 2, window=40)),
        ("df", lambda frame: prepare_darts_timeseries(frame, FOLD)),
        ("frame", lambda frame: study_frame(frame, FeatureSpec())),
        ("frame", lambda frame: plan_study(frame, small_spec(), "memory://never-written")),
        ("frame", lambda frame: plan_study(frame, small_spec(folds=HOLDOUT), "memory://never-written")),
    ],
    ids=["splits", "prepare", "study_frame", "plan_study", "plan_study_with_holdout"],
)
def test_rows_that_no_fold_can_be_cut_from_are_refused_by_their_fault(name, act, frame, said):
    if frame.index.nlevels == 2 and act.__code__.co_names[0] == "plan_study":
        pytest.skip("it takes several assets")
    assert said.format(name=name) in refusal(lambda: act(frame))


def test_rows_of_several_assets_are_refused_by_what_selects_them():
    frame = pd.concat({"A": DF, "B": DF}).tz_localize("UTC", level=1)
    said = refusal(lambda: plan_study(frame, small_spec(data={"asset_id": ["A", "B"]}, folds=HOLDOUT), "memory://x"))
    assert "the timestamps of frame.xs('A') must have no time zone, and are in UTC" in said


def test_the_arguments_of_a_run_are_refused_by_name(tmp_path):
    plan = small_plan(tmp_path)
    for over, said in (
        ({"workers": 0}, "workers must be a whole number of at least 1, not 0"),
        ({"more_trials": -1}, "more_trials must be a whole number of at least 1, not -1"),
        ({"record": "sqlite:///studies.db"}, "record must be a StudyRecord or None, not a str"),
        ({"budget": 60}, "budget must be a Budget or None, not an int"),
        ({"evaluate": FoldCache(tmp_path)}, "evaluate must be a function, not a FoldCache"),
        ({"watcher": 1}, "watcher must be a function, not an int"),
    ):
        assert said in refusal(lambda over=over: run_tuning(plan, **over))
    assert "trial must be a BaseTrial, not an int" in refusal(lambda: objective(0, plan))
