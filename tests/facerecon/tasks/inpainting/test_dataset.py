"""Training faces under drawn masks: every random choice is a function of seed, epoch and face."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from facerecon.corruption.degradation_settings import DegradationSettings
from facerecon.corruption.settings import MaskSettings
from facerecon.corruption.training_degradations import TrainingDegradations
from facerecon.corruption.training_masks import TrainingMasks
from facerecon.data.augmentation import AugmentationSettings
from facerecon.data.datasets import Draw, StepSampler
from facerecon.data.manifest import Manifest
from facerecon.randomness import generator
from facerecon.tasks.inpainting.dataset import Batch, TrainingFaces, collate

STILL = AugmentationSettings(flip=0, rotation=0, brightness=0, contrast=0, colour=0, blur=0)


def upper_half(
    progress: float, rng: np.random.Generator, points68: NDArray[np.float32], parts: NDArray[np.uint8] | None
) -> NDArray[np.uint8]:
    """A mask whose hole grows with the progress."""
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[: int(progress * 64)] = 1
    return mask


@pytest.fixture(scope="module")
def faces(aligned: Manifest) -> TrainingFaces:
    return TrainingFaces(aligned, AugmentationSettings(), TrainingMasks(MaskSettings(), 64), seed=3)


class TestTrainingFaces:
    def test_a_sample_is_image_mask_and_points(self, faces: TrainingFaces, aligned: Manifest) -> None:
        assert len(faces) == len(aligned.split("train")) == 12
        image, mask, points = faces[Draw(0, 0, 0.0)]
        assert (image.shape, mask.shape, points.shape) == ((3, 64, 64), (1, 64, 64), (5, 2))
        assert image.dtype == mask.dtype == points.dtype == torch.float32
        assert -1 <= image.min() < image.max() <= 1
        assert set(mask.unique().tolist()) == {0.0, 1.0}

    def test_without_augmentation_it_is_the_crop_and_its_points(self, aligned: Manifest) -> None:
        faces = TrainingFaces(aligned, STILL, upper_half, seed=0)
        row = aligned.split("train").iloc[5]
        image, mask, points = faces[Draw(5, 2, 0.25)]
        crop = aligned.aligned_faces.crop(row["face"])
        np.testing.assert_allclose((image.numpy().transpose(1, 2, 0) + 1) * 127.5, crop, atol=1e-3)
        np.testing.assert_allclose(points, aligned.aligned_faces.points(row["face"]).five, atol=1e-4)
        assert mask[0, :16].min() == 1  # the progress reaches whoever draws the mask
        assert mask[0, 16:].max() == 0

    def test_the_mask_gets_the_points_of_the_changed_face(self, aligned: Manifest) -> None:
        seen = []

        def keep(
            progress: float, rng: np.random.Generator, points68: NDArray[np.float32], parts: NDArray[np.uint8] | None
        ) -> NDArray[np.uint8]:
            seen.append(points68)
            return np.zeros((64, 64), dtype=np.uint8)

        faces = TrainingFaces(aligned, STILL.model_copy(update={"flip": 1.0}), keep, seed=0)
        faces[Draw(0, 0, 0.0)]
        expected = aligned.aligned_faces.points(aligned.split("train").loc[0, "face"]).sixty_eight
        np.testing.assert_allclose(seen[0], [64, 0] + expected * [-1, 1], atol=1e-4)

    def test_the_same_draw_gives_the_same_sample_whatever_came_before(self, faces: TrainingFaces) -> None:
        first = faces[Draw(4, 7, 0.5)]
        faces[Draw(1, 0, 0.1)]
        torch.rand(3)
        np.random.default_rng().random()
        for one, two in zip(first, faces[Draw(4, 7, 0.5)], strict=True):
            assert torch.equal(one, two)

    def test_another_epoch_or_seed_changes_face_and_mask(self, faces: TrainingFaces, aligned: Manifest) -> None:
        other = TrainingFaces(aligned, AugmentationSettings(), TrainingMasks(MaskSettings(), 64), seed=4)
        image, mask, _ = faces[Draw(4, 7, 0.5)]
        for changed, changed_mask, _ in (faces[Draw(4, 8, 0.5)], other[Draw(4, 7, 0.5)]):
            assert not torch.equal(image, changed)
            assert not torch.equal(mask, changed_mask)

    def test_a_face_looks_the_same_whoever_else_is_in_the_split(self, faces: TrainingFaces, aligned: Manifest) -> None:
        rows = aligned.faces[aligned.faces["face"].isin(faces.faces[3:])]
        fewer = TrainingFaces(replace(aligned, faces=rows), faces.augmentation, faces.draw_mask, seed=3)
        for one, two in zip(faces[Draw(3, 1, 0.5)], fewer[Draw(0, 1, 0.5)], strict=True):
            assert torch.equal(one, two)

    def test_frames_of_one_track_have_one_mask_and_other_faces_their_own(self, aligned: Manifest) -> None:
        tracks = aligned.faces["face"].map(dict(zip(aligned.split("train")["face"], ["a", "a", "b"], strict=False)))
        frames = replace(aligned, faces=aligned.faces.assign(track=tracks.fillna("")))
        # the masks of parts of a face follow its points
        settings = MaskSettings(feature_share=0)
        faces = TrainingFaces(frames, STILL, TrainingMasks(settings, 64), seed=0)
        plain = TrainingFaces(aligned, STILL, TrainingMasks(settings, 64), seed=0)
        first, second, third = (faces[Draw(index, 3, 0.5)][1] for index in range(3))
        assert torch.equal(first, second)
        assert not torch.equal(first, third)
        assert torch.equal(faces[Draw(5, 3, 0.5)][1], plain[Draw(5, 3, 0.5)][1])

    def test_a_split_without_faces_is_empty(self, aligned: Manifest) -> None:
        nobody = replace(aligned, faces=aligned.split("test"))
        assert len(TrainingFaces(nobody, STILL, upper_half, seed=0)) == 0

    def test_loader_workers_change_nothing(self, faces: TrainingFaces) -> None:
        def batches(workers: int) -> list[torch.Tensor]:
            sampler = StepSampler(len(faces), 5, 4, seed=1)
            loader = DataLoader(faces, batch_sampler=sampler, collate_fn=collate, num_workers=workers)
            return [part for batch in loader for part in (batch.image, batch.mask, batch.points)]

        for one, two in zip(batches(0), batches(2), strict=True):
            assert torch.equal(one, two)


class TestDegradedFaces:
    ALWAYS = DegradationSettings(training=("cctv_train",), clean_share=0, curriculum=0)

    @staticmethod
    def of(
        manifest: Manifest, settings: DegradationSettings | None, augmentation: AugmentationSettings
    ) -> TrainingFaces:
        degrade = None if settings is None else TrainingDegradations(settings, 64)
        return TrainingFaces(manifest, augmentation, TrainingMasks(MaskSettings(), 64), 3, degrade)

    def test_the_image_is_the_degraded_face_as_a_whole(self, aligned: Manifest) -> None:
        """It is what the network sees outside the hole and what it is to put into the hole."""
        faces = self.of(aligned, self.ALWAYS, STILL)
        image, mask, _ = faces[Draw(5, 2, 0.25)]
        face = faces.faces[5]
        whole = TrainingDegradations(self.ALWAYS, 64)(
            0.25, generator(3, 2, face, "degradation"), aligned.aligned_faces.crop(face)
        )
        np.testing.assert_array_equal(image, whole.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1)
        assert 0 < mask.mean() < 1
        clean = self.of(aligned, None, STILL)[Draw(5, 2, 0.25)][0]
        assert all(float((image - clean)[:, mask[0] == kind].abs().mean()) > 0.05 for kind in (0, 1))

    def test_masks_points_and_what_augmentation_draws_are_as_without(self, aligned: Manifest) -> None:
        still = self.ALWAYS.model_copy(update={"clean_share": 1.0})
        for index in range(4):
            plain = self.of(aligned, None, AugmentationSettings())[Draw(index, 1, 0.7)]
            degraded = self.of(aligned, self.ALWAYS, AugmentationSettings())[Draw(index, 1, 0.7)]
            spared = self.of(aligned, still, AugmentationSettings())[Draw(index, 1, 0.7)]
            assert all(torch.equal(one, two) for one, two in zip(plain[1:], degraded[1:], strict=True))
            assert not torch.allclose(plain[0], degraded[0], atol=0.1)
            assert torch.allclose(plain[0], spared[0], atol=0.51 / 127.5), "a clean one is only rounded"

    def test_the_progress_makes_it_harder(self, aligned: Manifest) -> None:
        rising = self.of(aligned, self.ALWAYS.model_copy(update={"curriculum": 1.0}), STILL)
        clean = self.of(aligned, None, STILL)
        errors = [
            np.mean([float((rising[Draw(k, 0, at)][0] - clean[Draw(k, 0, at)][0]).abs().mean()) for k in range(12)])
            for at in (0.0, 0.5, 1.0)
        ]
        assert errors[0] < errors[1] < errors[2]

    def test_what_is_fitted_sees_faces_as_they_are(self, aligned: Manifest) -> None:
        degraded, clean = (self.of(aligned, each, STILL).unchanged(100) for each in (self.ALWAYS, None))
        assert all(torch.equal(one, two) for one, two in zip(degraded, clean, strict=True))

    def test_half_the_size_stays_one_image_for_input_and_target(self, aligned: Manifest) -> None:
        faces = self.of(aligned, self.ALWAYS, STILL)
        batch = collate([faces[Draw(0, 0, 1.0)]])
        expected = torch.nn.functional.avg_pool2d(faces[Draw(0, 0, 1.0)][0][None], 2)
        assert torch.equal(batch.halved().image, expected)


def test_collate_stacks(faces: TrainingFaces) -> None:
    batch = collate(faces.__getitems__([Draw(0, 0, 0.0), Draw(2, 0, 0.0), Draw(1, 0, 0.0)])).to(torch.device("cpu"))
    assert (batch.image.shape, batch.mask.shape, batch.points.shape) == ((3, 3, 64, 64), (3, 1, 64, 64), (3, 5, 2))
    assert torch.equal(batch.image[1], faces[Draw(2, 0, 0.0)][0])


def test_half_the_size_shows_nothing_hidden_as_known() -> None:
    image = torch.arange(16.0).reshape(1, 1, 4, 4).expand(1, 3, 4, 4)
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 0, 3] = 1
    halved = Batch(image, mask, torch.tensor([[[2.0, 3.0]]])).halved()
    assert halved.image[0, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert halved.mask[0, 0].tolist() == [[0, 1], [0, 0]], "a pixel with one hidden part is hidden"
    assert halved.points.tolist() == [[[1.0, 1.5]]]
