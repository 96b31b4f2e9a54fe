"""An evaluation: what it stores it gives back, and a gain is told only where two methods compare."""

import json
import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from facerecon.evaluation.evaluation import Details, Evaluation, FaceSet, Judge, ModelFacts, gain
from facerecon.evaluation.keys import Metric, MetricKey
from facerecon.evaluation.scores import Scores, Summary
from facerecon.tasks.inpainting.details import InpaintingDetails

PSNR = Metric(name="psnr", label="PSNR", unit="dB")
ERROR = Metric(name="nme", label="error", higher_is_better=False)


@pytest.fixture
def plain() -> Evaluation:
    """A case without levels and a lower-is-better headline."""
    scores = Scores()
    scores.add(MetricKey("test", "nme", "plain"), "model", ["a", "b"], [0.1, 0.3])
    scores.add(MetricKey("test", "nme", "plain"), "mean_face", ["a", "b"], [0.4, 0.6])
    scores.add(MetricKey("test_dark", "nme", "plain"), "model", ["a"], [0.1])
    return Evaluation(
        model=ModelFacts(task="toy", family="tiny", size=64, step=3, weights="12", parameters=7),
        faces=2,
        identities=1,
        data="34",
        cases="56",
        metrics=(ERROR,),
        headline=("nme", "plain"),
        baseline="mean_face",
        methods={"model": "model", "mean_face": "mean face"},
        judges=(Judge(metric="nme", label="error", network="none", in_loss=False),),
        scores=scores,
        details=Details(),
        samples={},
    )


def test_strict_json_gives_back_the_same_evaluation(
    plain: Evaluation, make_evaluation: Callable[..., Evaluation]
) -> None:
    exact = make_evaluation({("model", "hole_psnr", "brush", 1): [math.inf] * 12}, samples={})
    for evaluation, details in ((plain, Details), (exact, InpaintingDetails)):
        stored = json.loads(json.dumps(evaluation.as_dict(), allow_nan=False))
        assert Evaluation.from_dict(stored, evaluation.scores, {}, details) == evaluation
        assert stored["schema_version"] == 2
        assert len(stored["figures"]) == len(list(evaluation.scores))


def test_it_knows_its_cases_levels_and_metrics(plain: Evaluation, make_evaluation: Callable[..., Evaluation]) -> None:
    assert plain.split_cases == [("plain", -1)], "not those of another face set"
    assert plain.levels("plain") == [-1]
    assert plain.headline_metric == ERROR
    story = make_evaluation()
    assert story.levels("brush") == [1, 2, 3]
    assert story.levels("scatter") == []
    with pytest.raises(KeyError):
        story.metric("nme")


def test_a_gain_has_the_headlines_direction(plain: Evaluation, make_evaluation: Callable[..., Evaluation]) -> None:
    assert plain.gain(-1, "mean_face") == pytest.approx(0.3)
    story = make_evaluation()
    assert story.gain(1, "telea") == pytest.approx(17.44 - 18.36)
    assert story.gain(2, "telea") == pytest.approx(18.62 - 17.68)
    assert story.gain(2, "nobody") is None
    assert story.gain(4, "telea") is None


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (Summary(19.0, 1.0, 5), Summary(18.0, 1.0, 5), 1.0),
        (Summary(19.0, 1.0, 5, 2), Summary(18.0, 1.0, 5, 2), 1.0),
        (Summary(19.0, 1.0, 5, 1), Summary(18.0, 1.0, 5, 2), None),
        (Summary(None, None, 5, 5), Summary(18.0, 1.0, 5), None),
        (Summary(18.0, 1.0, 5), Summary(None, None, 5, 5), None),
        (Summary(None, None, 5, 5), Summary(None, None, 5, 5), 0.0),
        (None, Summary(18.0, 1.0, 5), None),
        (Summary(18.0, 1.0, 5), None, None),
    ],
)
def test_infinite_figures_are_not_compared_away(
    ours: Summary | None, theirs: Summary | None, expected: float | None
) -> None:
    assert gain(PSNR, ours, theirs) == expected


def test_a_summary_is_of_one_key_alone(plain: Evaluation) -> None:
    assert plain.summary("nme", "plain", -1, "model") == Summary(0.2, pytest.approx(0.1), 2)
    assert plain.summary("nme", "plain", -1, "model", "test_dark") == Summary(0.1, 0.0, 1)
    assert plain.summary("nme", "plain", 1, "model") is None
    assert replace(plain, scores=Scores()).summary("nme", "plain", -1, "model") is None


def apart(plain: Evaluation) -> Evaluation:
    """Old faces and new measured apart; on the new ones the model gains less."""
    scores = Scores()
    for method in ("model", "mean_face"):
        values = plain.scores.values(MetricKey("test", "nme", "plain"), method)
        scores.add(MetricKey("test_old", "nme", "plain"), method, ["a", "b"], values)
        scores.add(MetricKey("test_new", "nme", "plain"), method, ["c"], values[1:])
    sets = (FaceSet(name="test_old", faces=2, identities=1), FaceSet(name="test_new", faces=1, identities=1))
    return replace(plain, scores=scores, face_sets=sets)


def test_of_face_sets_the_headline_is_of_the_first_and_nothing_averages_over_both(plain: Evaluation) -> None:
    both = apart(plain)
    assert (plain.face_set, plain.measured_on) == ("test", "test split")
    assert (both.face_set, both.measured_on) == ("test_old", "test_old")
    assert both.split_cases == both.cases_on("test_new") == [("plain", -1)]
    assert both.gain(-1, "mean_face") == pytest.approx(0.3)
    ours, new = both.summary("nme", "plain", -1, "model"), both.summary("nme", "plain", -1, "model", "test_new")
    assert ours is not None
    assert new is not None
    assert (ours.n, new.n, new.mean) == (2, 1, 0.3)
    assert both.mean_gain("mean_face", "test_new") == pytest.approx(0.3)
    assert both.mean_gain("nobody", "test_new") is None
    assert not any(key.face_set == "test" for key in both.scores.keys)


def test_face_sets_stand_in_the_file_only_where_there_are_some(plain: Evaluation) -> None:
    assert "face_sets" not in plain.as_dict()
    stored = json.loads(json.dumps(apart(plain).as_dict(), allow_nan=False))
    assert [row["name"] for row in stored["face_sets"]] == ["test_old", "test_new"]
    assert Evaluation.from_dict(stored, apart(plain).scores, {}, Details) == apart(plain)


def test_another_models_scores_are_no_figures_of_the_methods(plain: Evaluation) -> None:
    scores = Scores()
    scores.add(MetricKey("test", "nme", "plain"), "champion", ["a", "b"], [0.2, 0.2])
    beside = replace(plain, scores=plain.scores | scores)
    assert beside.as_dict() == plain.as_dict()
