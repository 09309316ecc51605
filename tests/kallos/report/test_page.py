import re
from html.parser import HTMLParser

import pytest

from kallos.report.banner import banner
from kallos.report.page import find_report, remove_report, report_html, write_report
from kallos.study.best_params import BestParams, write_best_params
from kallos.study.choice import NO_CHOICE, HonestChoice
from kallos.study.events import StudyFinished
from tests.report_samples import best_forecasts, deflation, holdout_evaluation, simplest, study_result

MARKUP = '"><script>alert(1)</script>&<i>'


class Seen(HTMLParser):
    """What a browser makes of a page: its tags, its ids, its text outside of pictures, and addresses."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.ids, self.addresses, self.labels, self.text = [], [], [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        self.ids += [values["id"]] if "id" in values else []
        self.addresses += [value for name, value in attrs if name in ("href", "src", "xlink:href")]
        self.labels += [values["aria-label"]] if tag == "svg" else []

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return study_result(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def whole(result):
    """The page with everything."""
    return report_html(
        result,
        evaluation=holdout_evaluation(),
        chosen=HonestChoice(simplest=simplest(0), deflation=deflation()),
        forecasts=best_forecasts(result),
        run=StudyFinished(result, fits=20, spared=4, stopped=None),
    )


@pytest.fixture(scope="module")
def bare(result):
    """The page of a study whose hold-out nobody has looked at, and of which no more is known."""
    return report_html(result, no_forecasts="--max-fold-fits 3 is spent")


def test_the_verdict_comes_first_with_its_reasons_and_numbers(whole):
    assert "<title>Ship it: gru on ABC</title>" in whole
    seen = Seen(whole)
    for said in (
        "Ship it",
        "3.10%",
        "0.40% to 5.80% (99% confidence)",
        "0.0042",
        "evaluations on this hold-out",
        "The skill over <b>zero</b> is beyond chance.",
        "1.25%",
        "the choice overfits in 40% of splits",
        "Resampling of folds. Sources: Somebody (2018).",
        "Trial 0 is the cheapest that cannot be told from the best: it needs 1,000 multiply-adds per forecast instead "
        "of 2,500, and its mean RMSE is 0.01.",
    ):
        assert said in seen.text
    assert seen.text.index("Ship it") < seen.text.index("Against the baseline, fold by fold")


@pytest.mark.parametrize(
    ("decision", "tone", "head"),
    [("keep", "caution", "Keep the champion"), ("not shown", "bad", "Not shown")],
)
def test_each_verdict_has_words_of_its_own(result, decision, tone, head):
    first = banner(result, holdout_evaluation(decision, holdout_evaluations=1), NO_CHOICE)
    assert (first.tone, first.head) == (tone, head)
    assert first.reasons[0] == "The skill over <b>zero</b> is beyond chance."
    assert ("1", "evaluation on this hold-out") in [(figure.value, figure.name) for figure in first.figures]


def test_without_a_hold_out_there_is_no_verdict(bare, result):
    text = Seen(bare).text
    assert "No verdict yet" in text
    assert "chosen on these very folds" in text
    assert "Ship" not in text
    assert "p-value" not in text
    assert f"mean RMSE of {result.best_value:.6g} against {result.baseline_value:.6g}" in text


def test_what_cannot_be_shown_says_why(bare):
    text = Seen(bare).text
    assert "Not shown: --max-fold-fits 3 is spent." in text
    assert "an estimate needs at least two complete trials and three folds" in text


def test_every_fold_is_there_with_its_numbers(whole, result):
    rows = re.findall(r'<tr[^>]*><th scope="row">(1|2|3|mean|current window)</th>(.*?)</tr>', whole)[:5]
    assert [name for name, _ in rows] == ["1", "2", "3", "mean", "current window"]
    for (_, cells), window, score in zip(rows[:3], result.windows, result.best.scores, strict=True):
        baseline = window.baseline_rmse[result.baseline]
        saved = f"{100 * (baseline - score.rmse) / baseline:.2f}%".replace("-", "\u2212")
        assert [f"{score.rmse:.6g}", f"{baseline:.6g}", saved] == re.findall(r'class="n">([^<]+)<', cells)[:3]


def test_the_page_says_what_was_pruned_cached_and_fitted_anew(whole, result):
    text = Seen(whole).text
    fits = sum(len(trial.scores) for trial in result.trials) + 1
    assert f"This result took {fits} fold fits, {2 * fits} seconds of one core in total." in text
    n_failed, n_trials = sum(trial.state == "failed" for trial in result.trials), len(result.trials)
    assert (
        f"20 folds fitted in this run, 4 spared by pruning; {n_failed} of {n_trials} trials failed. "
        f"{fits - 20} folds came from the cache or the record." in text
    )
    assert f"{sum(trial.state == 'pruned' for trial in result.trials)} pruned, 1 failed" in text
    assert "failed: the loss is <NaN>" in text
    assert result.data.sha256 in text
    assert "as the study has recorded, to the last bit" in text


def test_every_picture_has_a_text_in_its_place_and_no_id_is_there_twice(whole):
    seen = Seen(whole)
    # Each twice: hold-out, folds, trials, importance, parallel coordinates, forecasts, seconds.
    assert len(seen.labels) == 14
    assert all(len(label) > 40 for label in seen.labels)
    assert len(seen.ids) == len(set(seen.ids))


def test_the_page_asks_for_nothing_outside_itself(whole):
    seen = Seen(whole)
    assert "default-src 'none'" in whole
    assert {"script", "link", "img", "iframe", "object"}.isdisjoint(seen.tags)
    assert all(address.startswith("#") for address in seen.addresses)
    assert set(re.findall(r"url\(([^)]{1})", whole)) <= {"#"}
    assert "@import" not in whole
    assert {address[1:] for address in seen.addresses} <= set(seen.ids)


def test_the_same_study_is_the_same_page_to_the_byte(bare, result):
    assert report_html(result, no_forecasts="--max-fold-fits 3 is spent") == bare


def test_what_comes_from_data_is_text_and_never_markup(result):
    spec = result.spec.model_copy(update={"data": result.spec.data.model_copy(update={"asset_id": MARKUP})})
    trials = tuple(trial.model_copy(update={"reason": MARKUP} if trial.reason else {}) for trial in result.trials)
    errors = {
        "baseline_values": {"$x$": 0.01},
        "baseline_metrics": {"$x$": {"rmse": 0.01, "mae": 0.01}},
        "baseline_by_asset": {"$x$": (0.01,)},
    }
    baseline = {"baseline": "$x$", "baseline_values": {"$x$": result.baseline_value}}
    windows = [window.model_copy(update=errors) for window in (*result.windows, result.current_window)]
    of_folds = {"windows": tuple(windows[:-1]), "current_window": windows[-1]}
    hostile = result.model_copy(update={"spec": spec, "trials": trials, **baseline, **of_folds})
    page = report_html(
        hostile,
        evaluation=holdout_evaluation(asset_id=MARKUP, baseline=MARKUP, model_id=MARKUP),
        forecasts=best_forecasts(result, block=2),
        chosen=HonestChoice(deflation=deflation(method=MARKUP)),
    )
    assert "made in blocks of 2 rows, each from the row before it" in page
    seen = Seen(page)
    assert {"script", "i"}.isdisjoint(seen.tags)
    assert f"gru on {MARKUP}" in seen.text
    assert "baseline ($x$)" in seen.text


def test_importance_needs_trials_and_says_so(tmp_path):
    page = report_html(study_result(tmp_path, n_trials=5), forecasts=None)
    assert "Not shown: it needs 10 complete trials with different values." in page
    assert len(Seen(page).labels) == 8


def test_the_page_lies_in_the_studys_folder_and_its_copy_beside_it_while_the_study_is_the_latest(result, tmp_path):
    folder, copy = str(tmp_path / result.study_name), tmp_path / "gru_ABC_report.html"
    assert find_report(folder) is None
    assert write_report(result, "page", folder) == find_report(folder) == f"{folder}/report.html"
    assert not copy.exists()
    write_best_params(BestParams.of(result), str(tmp_path))
    write_report(result, "page", folder)
    assert copy.read_text() == "page"
    later = result.model_copy(update={"study_name": "gru-ABC-0123456789abcdef"})
    write_best_params(BestParams.of(later), str(tmp_path))
    write_report(result, "the earlier study's page again", folder)
    assert copy.read_text() == "page"
    remove_report(result, folder)
    assert (find_report(folder), copy.exists()) == (None, False)
