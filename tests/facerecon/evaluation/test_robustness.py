"""Rows of a disturbed input: against the undisturbed figure of the same faces, up to a metric's ceiling."""

import numpy as np
import pytest

from facerecon.corruption.presets import ROBUSTNESS_PRESETS, robustness_cases
from facerecon.errors import FaceReconError
from facerecon.evaluation.image_metrics import CEILING, SSIM, WHOLE_PSNR
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.paired import change
from facerecon.evaluation.robustness import (
    ATTACKS,
    FROZEN_STEPS,
    UNDISTURBED,
    Robustness,
    Step,
    disturbed_rows,
    frozen_images,
)
from facerecon.evaluation.scores import Scores

FACES = [f"face {number}" for number in range(12)]
PEOPLE = {face: f"person {number % 8}" for number, face in enumerate(FACES)}
JPEG = Step("jpeg", 10)
PSNR = WHOLE_PSNR.model_copy(update={"ceiling": CEILING})


def scores_of(undisturbed: list[float], disturbed: list[float], metric: str = "whole_psnr") -> Scores:
    scores = Scores()
    for case, values in ((UNDISTURBED, undisturbed), (JPEG.case, disturbed)):
        for method in ("model", "telea"):
            scores.add(MetricKey("test", metric, case), method, FACES[: len(values)], values)
    return scores


def test_the_steps_are_those_that_are_frozen_and_the_attacks() -> None:
    assert [step.case for step in FROZEN_STEPS] == [case.preset.name for case in robustness_cases()]
    assert list(ROBUSTNESS_PRESETS) == ["clean", *(step.case for step in FROZEN_STEPS)]
    assert [step.case for step in ATTACKS] == [
        f"{family}_{level}" for family in ("pgd", "uniform") for level in (1, 2, 4)
    ]


def test_a_difference_is_of_the_same_faces_with_its_interval() -> None:
    rng = np.random.default_rng(0)
    before, after = rng.normal(30, 2, 12).tolist(), rng.normal(25, 2, 12).tolist()
    ours, theirs = disturbed_rows(scores_of(before, after), "test", [JPEG], [PSNR], PEOPLE)
    assert (ours.method, theirs.method, ours.case) == ("model", "telea", "jpeg_10")
    assert (ours.faces, ours.identities) == (12, 8)
    assert ours.undisturbed == pytest.approx(np.mean(before))
    assert ours.disturbed == pytest.approx(np.mean(after))
    assert ours.difference == pytest.approx(np.mean(after) - np.mean(before))
    assert ours.low is not None
    assert ours.high is not None
    assert ours.low < ours.difference < ours.high
    found = change(dict(zip(FACES, before, strict=True)), dict(zip(FACES, after, strict=True)), PEOPLE)
    assert (ours.low, ours.high) == (found.low, found.high)


def test_equal_images_count_as_the_ceiling() -> None:
    row, _ = disturbed_rows(scores_of([np.inf] * 3, [np.inf, 40, 40]), "test", [JPEG], [PSNR], PEOPLE)
    assert row.undisturbed == pytest.approx(CEILING)
    assert row.difference == pytest.approx((80 - 2 * CEILING) / 3)
    assert (row.low, row.high) == (None, None), "three people cannot tell"


def test_what_is_no_number_is_told_in_one_line() -> None:
    with pytest.raises(FaceReconError, match="not finite under jpeg_10"):
        disturbed_rows(scores_of([0.9, 0.9], [0.9, np.nan], "ssim"), "test", [JPEG], [SSIM], PEOPLE)


def test_only_the_models_figures_are_kept_by_trackers() -> None:
    rows = disturbed_rows(scores_of([30.0], [20.0]), "test", [JPEG], [PSNR], PEOPLE)
    found = Robustness(pixels="", rows=rows).figures("test_old")
    assert {str(key): value for key, value in found.items()} == {
        "test_old/whole_psnr_disturbed/jpeg_10": 20.0,
        "test_old/whole_psnr_disturbed_difference/jpeg_10": -10.0,
    }


def test_pixels_that_are_not_frozen_are_told_with_the_remedy() -> None:
    with pytest.raises(FaceReconError, match="run the pipeline again"):
        frozen_images(None, FACES)
