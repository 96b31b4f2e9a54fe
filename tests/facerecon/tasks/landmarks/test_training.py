"""Training samples and their loss; a training goes on where it was killed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facerecon.corruption.degradation_settings import DegradationSettings
from facerecon.corruption.training_degradations import TrainingDegradations
from facerecon.data.datasets import Draw
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.models.landmarks import Landmarks
from facerecon.models.trained import TrainingResult
from facerecon.tasks.landmarks.dataset import Batch, TrainingFaces, collate, samples
from facerecon.tasks.landmarks.losses import landmark_loss
from facerecon.tasks.landmarks.placement import MIRRORED
from facerecon.tasks.landmarks.training_settings import LossSettings, TrainingSettings
from facerecon.tasks.landmarks.truth import known_faces

CLEAN = DegradationSettings(training=("clean",), evaluation=("clean",), clean_share=1.0)


def training_faces(manifest: Manifest, **settings: Any) -> TrainingFaces:
    known = known_faces(manifest, manifest.split("train")["face"].tolist())
    degrade = TrainingDegradations(CLEAN, manifest.size)
    return TrainingFaces(manifest, known, TrainingSettings.model_validate(settings), degrade, seed=0)


def test_a_sample_follows_from_epoch_and_face_alone(faces: Manifest) -> None:
    first, again = (training_faces(faces)[Draw(1, 2, 0.5)] for _ in range(2))
    other = training_faces(faces)[Draw(1, 3, 0.5)]
    for one, same in zip(first, again, strict=True):
        assert torch.equal(one, same)
    assert not torch.equal(first[1], other[1])


def test_a_mirrored_sample_has_its_points_and_depth_mirrored(faces: Manifest) -> None:
    plain, mirrored = (
        training_faces(faces, augmentation={"flip": share, "brightness": 0, "contrast": 0, "colour": 0, "blur": 0})[
            Draw(0, 0, 0.0)
        ]
        for share in (0, 1)
    )
    assert torch.equal(mirrored[0], plain[0].flip(2))
    assert torch.equal(mirrored[2], plain[2].flip(2))
    expected = plain[1][list(MIRRORED)].clone()
    expected[:, 0] = 64 - expected[:, 0]
    torch.testing.assert_close(mirrored[1], expected)


def test_crops_lie_elsewhere_at_every_draw(faces: Manifest) -> None:
    found = samples(training_faces(faces, without_face=0), 24)
    assert found.images.shape == (24, 64, 64, 3)
    middles = found.points[..., :2].mean(axis=1)
    assert middles.std(axis=0).min() > 1.5
    assert found.depth[found.inside].max() > 5


def test_a_photograph_that_is_gone_ends_the_training_in_a_line(
    faces: Manifest, shaped_faces: Path, tmp_path: Path
) -> None:
    dataset = training_faces(faces)
    path = shaped_faces / dataset.rows.iloc[0]["uri"]
    aside = path.rename(tmp_path / "aside.jpg")
    try:
        with pytest.raises(FaceReconError, match=r"needs the photographs.*the photograph is gone"):
            dataset[Draw(0, 0, 0.0)]
    finally:
        aside.rename(path)


@pytest.fixture
def batch(faces: Manifest) -> Batch:
    dataset = training_faces(faces, without_face=0)
    return collate([dataset[Draw(index, 0, 0.0)] for index in range(4)])


def right(batch: Batch) -> Landmarks:
    return Landmarks(batch.points.clone(), batch.depth.clone(), torch.full((4, 68), 20.0))


@pytest.mark.parametrize("kind", ["l1", "mse", "wing", "mse_mae"])
def test_what_is_right_costs_nothing(batch: Batch, kind: str) -> None:
    loss = landmark_loss(right(batch), batch, LossSettings(kind=kind))
    assert float(loss.total) == pytest.approx(0, abs=1e-6)
    assert set(loss.terms) == {"points", "depth", "confidence"}


@pytest.mark.parametrize("kind", ["l1", "mse", "wing", "mse_mae"])
def test_an_error_costs_more_the_larger_it_is(batch: Batch, kind: str) -> None:
    costs = []
    for pixels in (1.0, 2.0, 8.0):
        output = right(batch)
        moved = output._replace(landmarks=output.landmarks + pixels)
        costs.append(float(landmark_loss(moved, batch, LossSettings(kind=kind)).terms["points"]))
    assert 0 < costs[0] < costs[1] < costs[2]
    if kind == "wing":
        assert costs[2] / costs[0] < 7, "small errors count for more"
    elif kind == "mse_mae":
        sums = [
            sum(float(landmark_loss(moved, batch, LossSettings(kind=each)).terms["points"]) for each in ("l1", "mse"))
            for moved in (right(batch)._replace(landmarks=batch.points + pixels) for pixels in (1.0, 2.0, 8.0))
        ]
        assert costs == pytest.approx(sums, rel=1e-5)
    else:
        assert costs[2] / costs[0] == pytest.approx({"l1": 8, "mse": 64}[kind], rel=1e-3)


def test_depth_counts_inside_the_face_alone(batch: Batch) -> None:
    output = right(batch)
    outside = output._replace(depth=torch.where(batch.inside > 0, output.depth, 1e4))
    assert float(landmark_loss(outside, batch, LossSettings()).terms["depth"]) == pytest.approx(0, abs=1e-6)
    unknown = Batch(batch.image, batch.points, batch.depth, torch.zeros_like(batch.inside), batch.box, batch.face)
    assert "depth" not in landmark_loss(output, unknown, LossSettings()).terms


def test_some_crops_show_no_face_and_teach_the_confidence_alone(faces: Manifest) -> None:
    dataset = training_faces(faces, without_face=0.5)
    batch = collate([dataset[Draw(index % len(dataset), index // len(dataset), 0.0)] for index in range(24)])
    empty = batch.face == 0
    assert 4 < int(empty.sum()) < 20
    assert not batch.inside[empty].any()
    sure, wrong = right(batch), right(batch)
    sure = sure._replace(confidence_logits=torch.where(empty[:, None], -20.0, torch.full((24, 68), 20.0)))
    assert float(landmark_loss(sure, batch, LossSettings()).total) == pytest.approx(0, abs=1e-6)
    moved = torch.where(empty[:, None, None], batch.points + 30, batch.points)
    told = landmark_loss(sure._replace(landmarks=moved), batch, LossSettings()).terms
    assert float(told["points"]) == pytest.approx(0, abs=1e-6), "nothing is known of where the points are"
    wrong = wrong._replace(confidence_logits=torch.full((24, 68), 20.0))
    assert float(landmark_loss(wrong, batch, LossSettings()).terms["confidence"]) > 1


def test_what_baselines_are_fitted_to_shows_faces(faces: Manifest) -> None:
    dataset = training_faces(faces, without_face=0.5)
    seen = samples(dataset, 24)
    assert 4 < len(seen.points) < 20
    assert (np.ptp(seen.points[..., 0], axis=1) > 10).all()


def test_a_killed_training_ends_with_the_same_weights(
    train_drawn: Callable[..., TrainingResult], undisturbed: TrainingResult, tmp_path: Path
) -> None:
    class KilledError(Exception):
        pass

    def kill(row: dict[str, Any]) -> None:
        if row["step"] == 3:
            raise KilledError

    with pytest.raises(KilledError):
        train_drawn(tmp_path, log=kill)
    resumed = train_drawn(tmp_path)
    assert resumed.resumed_at == 2
    assert resumed.best.digest == undisturbed.best.digest


def test_a_training_that_learns_no_points_keeps_the_weights_with_the_best_depth(
    train_drawn: Callable[..., TrainingResult], tmp_path: Path
) -> None:
    result = train_drawn(tmp_path, {"losses": {"points": 0, "confidence": 0}})
    assert result.checkpoint_key == "val/depth_rmse/all_conditions"
    depths = {row["step"]: row[result.checkpoint_key] for row in result.history if result.checkpoint_key in row}
    assert depths[result.best.step] == min(depths.values())


def test_the_curves_have_every_condition(undisturbed: TrainingResult) -> None:
    last = undisturbed.history[-1]
    for case in ("clean", "low_resolution", "poor_light", "all_conditions"):
        assert np.isfinite(last[f"val/nme/{case}"])
    assert undisturbed.checkpoint_key == "val/nme/all_conditions"
    assert float(undisturbed.best.weights["mean_shape"].abs().sum()) > 10, "the mean shape is that of training crops"
