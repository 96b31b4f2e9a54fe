"""The curriculum: which levels and places are drawn when."""

import numpy as np
import pytest
from pydantic import ValidationError

from facerecon.corruption.curriculum import (
    NO_CURRICULUM,
    PUBLISHED,
    Curriculum,
    check_training_families,
    sample_training_mask,
)
from facerecon.corruption.masks import LEVELS, TRAINING_FAMILIES
from facerecon.errors import FaceReconError


@pytest.mark.parametrize("scale", [1, 7, 137])
def test_published_epochs(scale: int) -> None:
    """Fifty epochs of ``scale`` steps: 1-10, 11-25 and 26-50, to the step."""
    names = [PUBLISHED.stage_at(step / (50 * scale)).name for step in range(50 * scale)]
    assert names == ["edges"] * 10 * scale + ["centre"] * 15 * scale + ["anywhere"] * 25 * scale


def test_holes_grow() -> None:
    means = [
        sum(level * weight for level, weight in PUBLISHED.stage_at(progress).levels.items())
        for progress in np.linspace(0, 1, 101)
    ]
    assert means == sorted(means)
    assert len(set(means)) == 3


def test_stages_as_published() -> None:
    first, second, third = (PUBLISHED.stage_at(progress) for progress in (0, 0.3, 1))
    assert first.levels == {1: 1.0}
    assert second.levels[2] > second.levels[1] > 0
    assert set(third.levels) == set(LEVELS)
    assert third.levels[3] == max(third.levels.values())
    assert [now.focus for now in (first, second, third)] == ["edges", "centre", "anywhere"]
    for now in (first, second, third, NO_CURRICULUM.stage_at(0)):
        assert sum(now.levels.values()) == pytest.approx(1)


def test_no_curriculum_is_the_same_throughout() -> None:
    stages = {NO_CURRICULUM.stage_at(progress).model_dump_json() for progress in (0, 0.2, 0.5, 1)}
    assert len(stages) == 1
    assert set(NO_CURRICULUM.stage_at(0).levels) == set(LEVELS)
    assert NO_CURRICULUM.stage_at(0).focus == "anywhere"


def test_boundaries_come_from_the_config() -> None:
    early = Curriculum.model_validate({"kind": "published", "boundaries": [0.1, 0.1]})
    assert [early.stage_at(progress).name for progress in (0.09, 0.1)] == ["edges", "anywhere"]
    for wrong in ({"boundaries": [0.5, 0.2]}, {"boundaries": [-0.1, 0.2]}, {"kind": "steep"}, {"phases": 3}):
        with pytest.raises(ValidationError):
            Curriculum.model_validate(wrong)


@pytest.mark.parametrize("progress", [-0.01, 1.01, float("nan")])
def test_progress_outside_the_run_is_refused(progress: float) -> None:
    with pytest.raises(ValueError, match="progress"):
        PUBLISHED.stage_at(progress)


@pytest.mark.parametrize(("progress", "low", "high"), [(0.0, 0.10, 0.30), (0.3, 0.10, 0.50), (1.0, 0.10, 0.70)])
def test_training_masks_follow_the_stage(progress: float, low: float, high: float) -> None:
    rng = np.random.default_rng(0)
    ratios = np.array([sample_training_mask(64, progress, TRAINING_FAMILIES, rng).mean() for _ in range(200)])
    assert low - 0.01 <= ratios.min() < low + 0.05
    assert high - 0.05 < ratios.max() <= high + 0.01


def test_training_masks_lie_where_the_stage_says() -> None:
    distance = np.hypot(*(np.mgrid[:64, :64] - 31.5))
    means = []
    for progress in (0.0, 0.3, 1.0):
        rng = np.random.default_rng(0)
        masks = [sample_training_mask(64, progress, TRAINING_FAMILIES, rng) for _ in range(100)]
        means.append(np.mean([distance[mask == 1].mean() for mask in masks]))
    assert means[1] + 1 < means[2] < means[0] - 1


def test_every_family_is_drawn() -> None:
    """From one seed on, two families give other masks than either alone, from one seed on."""
    pair = ["boxes", "scatter"]
    drawn = [sample_training_mask(64, 0.5, pair, np.random.default_rng(seed)) for seed in range(40)]
    corners = [int(np.abs(np.diff(mask.astype(int), axis=0)).sum()) for mask in drawn]
    assert min(corners) < 300 < max(corners)
    again = sample_training_mask(64, 0.5, pair, np.random.default_rng(7))
    assert np.array_equal(again, drawn[7])


@pytest.mark.parametrize("families", [[], ["held_out"], ["brush", "held_out"], ["spray"]])
def test_what_must_not_be_trained_on_is_refused(families: list[str]) -> None:
    with pytest.raises(FaceReconError, match="choose from brush"):
        check_training_families(families)
    with pytest.raises(FaceReconError, match="choose from brush"):
        sample_training_mask(64, 0.5, families, np.random.default_rng(0))
