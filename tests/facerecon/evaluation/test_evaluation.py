"""An evaluation: what it stores it gives back, and a gain is told only where two methods compare."""

import json
import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from facerecon.evaluation.evaluation import Details, Evaluation, Judge, ModelFacts, gain
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
