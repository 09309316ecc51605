"""Leaner fits learn the same."""

import pytest

import kallos.training
from kallos.architectures import registry
from kallos.scoring import evaluate_fold
from tests.samples import small_job


@pytest.mark.parametrize("model_name", registry())
def test_batches_that_are_taken_whole_are_those_of_darts(tmp_path, monkeypatch, model_name):
    job = small_job(tmp_path, model_name=model_name, horizon=2)
    whole = evaluate_fold(job)
    monkeypatch.setattr(kallos.training, "_take_batches_whole", lambda model: None)
    one_by_one = evaluate_fold(job)
    monkeypatch.undo()
    monkeypatch.setattr(kallos.training, "_MOST_SAMPLE_BYTES", 0)
    too_large = evaluate_fold(job)
    assert whole.rmse == one_by_one.rmse == too_large.rmse
    assert whole.mae == one_by_one.mae == too_large.mae
