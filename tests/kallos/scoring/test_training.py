"""Leaner fits learn the same."""

from contextlib import nullcontext

import pytest

import kallos.scoring.networks
from kallos.architectures import registry
from kallos.scoring.fold import evaluate_fold, fit_fold
from tests.samples import content_of, small_job


@pytest.mark.parametrize("model_name", registry())
def test_batches_that_are_taken_whole_are_those_of_darts(tmp_path, monkeypatch, model_name):
    job = small_job(tmp_path, model_name=model_name, horizon=2)
    whole = evaluate_fold(job)
    monkeypatch.setattr(kallos.scoring.networks, "_whole_batches", lambda model: nullcontext())
    one_by_one = evaluate_fold(job)
    monkeypatch.undo()
    monkeypatch.setattr(kallos.scoring.networks, "_MOST_SAMPLE_BYTES", 0)
    too_large = evaluate_fold(job)
    assert content_of(job, whole) == content_of(job, one_by_one) == content_of(job, too_large)


def test_a_fitted_model_can_be_saved_and_loaded(tmp_path):
    fitted = fit_fold(small_job(tmp_path))
    fitted.model.save(str(tmp_path / "model.pt"))
    loaded = type(fitted.model).load(str(tmp_path / "model.pt"), trusted=True)
    known = {"series": fitted.series[0].target, "past_covariates": fitted.series[0].past_covariates, "verbose": False}
    assert loaded.predict(1, **known) == fitted.model.predict(1, **known)
