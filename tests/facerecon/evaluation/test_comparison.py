"""A model beside another: whose faces count, which way a gain points, and when nothing is compared."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from facerecon.evaluation.bootstrap import paired_interval
from facerecon.evaluation.comparison import CONFIDENCE, RESAMPLES, SEED, compare
from facerecon.evaluation.evaluation import Evaluation
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.scores import Scores

FACES = [f"face {number}" for number in range(12)]
PEOPLE = {face: f"person {number // 2}" for number, face in enumerate(FACES)}


@pytest.fixture
def beside(make_evaluation: Callable[..., Evaluation]) -> Evaluation:
    """The story's evaluation with a champion that has 1 dB less and an LPIPS 0.1 higher, level by level."""
    evaluation, scores = make_evaluation(), Scores()
    for level in (1, 2, 3):
        for metric, off in (("hole_psnr", -1.0), ("lpips_vgg", 0.1)):
            key = MetricKey("test", metric, "brush", level)
            values = evaluation.scores.values(key, "model") + off * np.linspace(0.5, 1.5, 12) * level
            scores.add(key, "champion", FACES, values)
    return replace(evaluation, scores=evaluation.scores | scores)


def test_a_gain_points_to_the_better_model_by_level_and_over_the_levels(beside: Evaluation) -> None:
    found = compare(beside, "test", "champion", "demo/3", PEOPLE, FACES)
    assert (found.faces, found.identities, found.left_out, found.obstacle) == (12, 6, 0, "")
    assert {(row.metric, row.level) for row in found.rows} == {
        (metric, level) for metric in ("hole_psnr", "lpips_vgg") for level in (1, 2, 3, None)
    }
    psnr, distance = found.row("hole_psnr"), found.row("lpips_vgg", 1)
    assert psnr is not None
    assert distance is not None
    assert psnr.gain == pytest.approx(2.0)
    assert psnr.ours - psnr.theirs == pytest.approx(2.0)
    assert distance.gain == pytest.approx(0.1), "a lower distance is better"
    wanted = paired_interval(
        2 * np.linspace(0.5, 1.5, 12), [PEOPLE[face] for face in FACES], RESAMPLES, CONFIDENCE, SEED
    )
    assert (psnr.low, psnr.high) == pytest.approx((wanted.low, wanted.high))


def test_people_whom_one_of_both_knows_are_left_out_and_counted(beside: Evaluation) -> None:
    found = compare(beside, "test", "champion", "demo/3", PEOPLE, FACES[4:])
    assert (found.faces, found.identities, found.left_out) == (8, 4, 2)
    row = found.row("hole_psnr", 1)
    assert row is not None
    assert row.gain == pytest.approx(np.linspace(0.5, 1.5, 12)[4:].mean())
    assert row.low is None, "four people give no interval"


def test_without_anybody_or_without_figures_nothing_is_compared(beside: Evaluation) -> None:
    nobody = compare(beside, "test", "champion", "demo/3", PEOPLE, ())
    assert (nobody.rows, nobody.left_out) == ((), 6)
    assert "nobody is left" in nobody.obstacle
    unmeasured = compare(beside, "test", "anchor", "demo/1", PEOPLE, FACES)
    assert unmeasured.rows == ()
    assert "no finite numbers" in unmeasured.obstacle


def test_what_is_exact_counts_for_the_ceiling(beside: Evaluation) -> None:
    key = MetricKey("test", "hole_psnr", "brush", 1)
    exact = Scores()
    exact.add(key, "model", FACES, [np.inf] * 12)
    exact.add(key, "champion", FACES, [20.0] * 12)
    found = compare(replace(beside, scores=exact), "test", "champion", "demo/3", PEOPLE, FACES)
    (row,) = found.rows
    assert row.ours == pytest.approx(58.92, abs=0.01)
