"""How a crop is cut says nothing of where the points are: shown on photographs of drawn people without the people.

What the border of a whole crop shows (hair, neck, shoulders) does say it, and may: so the people are left out. What
leaks then is the crop's making alone, and whoever sees the border only must not beat the mean shape on people that it
was not fitted to. The same is caught where crops are aligned by the points first, and shifted afterwards.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facerecon.data.geometry import box_of, cut
from facerecon.evaluation.bootstrap import Interval, paired_interval
from facerecon.perception.landmarks import Points, sixty_eight
from facerecon.randomness import generator
from facerecon.synthetic import CanonicalMesh, draw_identity, draw_scene
from facerecon.synthetic.dataset import ROOM
from facerecon.synthetic.pose import pose, view_of
from facerecon.synthetic.render import backdrop
from facerecon.tasks.landmarks.baselines import HogRidge, MeanShape
from facerecon.tasks.landmarks.dataset import Samples
from facerecon.tasks.landmarks.evaluator import Find, Found
from facerecon.tasks.landmarks.placement import closest, place
from facerecon.tasks.landmarks.training_settings import PlacementSettings

SIZE, PHOTO = 64, 160
TRAINED, EPOCHS, MEASURED = 250, 8, 150
"""People whose photographs are cut so often to be fitted to, and others, whose crops are frozen."""

DEEPEST, RING, GRAY = 7, 8, 128
PLACEMENT = PlacementSettings()

Photograph = tuple[NDArray[np.uint8], Points]
Cut = Callable[[NDArray[np.uint8], Points, np.random.Generator], Photograph | None]


def photograph(mesh: CanonicalMesh, seed: int, number: int) -> Photograph:
    """What is behind a drawn person, with a sensor's noise, and the points [68, 3] of the person who is left out."""
    who, scene = draw_identity(seed, number), draw_scene(seed, number, 0)
    scene = replace(scene, camera=replace(scene.camera, span=ROOM * scene.camera.span))
    pixels, depth = view_of(scene, PHOTO).project(pose(mesh, who, scene).world[:468])
    noise = generator(seed, number, "noise").normal(0, 6, (PHOTO, PHOTO, 3))
    seen = np.clip(255 * backdrop(scene, PHOTO) ** (1 / 2.2) + noise, 0, 255).astype(np.uint8)
    return seen, sixty_eight(np.column_stack([pixels, depth]).astype(np.float32))


def as_the_task_cuts(photo: NDArray[np.uint8], points: Points, rng: np.random.Generator) -> Photograph | None:
    where = place(points, photo.shape[:2], PLACEMENT, rng)
    return None if where is None else (cut(photo, where, SIZE)[0], where.to_crop(points, SIZE))


def aligned_first(border: int) -> Cut:
    """Cut about the points, then shift, turn and scale the crop as much; ``border`` fills what it does not reach."""

    def cut_and_move(photo: NDArray[np.uint8], points: Points, rng: np.random.Generator) -> Photograph:
        where = closest(points, photo.shape[:2])
        x, y, turn, scale = rng.random(4).tolist()
        low, high = PLACEMENT.scale
        by = cv2.getRotationMatrix2D(
            ((SIZE - 1) / 2, (SIZE - 1) / 2), (2 * turn - 1) * PLACEMENT.rotation, 1 / (low + scale * (high - low))
        )
        by[:, 2] += PLACEMENT.shift * SIZE * (2 * np.array([x, y]) - 1)
        crop = cv2.warpAffine(cut(photo, where, SIZE)[0], by, (SIZE, SIZE), borderMode=border)
        moved = (where.to_crop(points, SIZE) - 0.5) @ by[:, :2].T + by[:, 2] + 0.5
        return crop.astype(np.uint8), moved.astype(np.float32)

    return cut_and_move


@dataclass(frozen=True)
class Crops:
    """``images`` [N, S, S, 3] of ``people`` [N] by number, and ``points`` [N, 68, 3] that nothing of them shows."""

    images: NDArray[np.uint8]
    points: Points
    people: list[int]

    @staticmethod
    def of(photographs: list[Photograph], by: Cut, epochs: int, what: str) -> "Crops":
        made = [
            (number, by(*photo, generator(what, epoch, number)))
            for epoch in range(epochs)
            for number, photo in enumerate(photographs)
        ]
        found = [(number, crop) for number, crop in made if crop is not None]
        points = np.stack([np.column_stack([points, np.zeros(68)]) for _, (_, points) in found])
        return Crops(
            np.stack([image for _, (image, _) in found]), points.astype(np.float32), [number for number, _ in found]
        )

    @property
    def samples(self) -> Samples:
        depth = np.zeros((len(self.images), SIZE, SIZE), np.float32)
        return Samples(self.images, self.points, depth, depth > 0)

    def errors(self, find: Find) -> NDArray[np.float64]:
        """The NME [N] of what is found."""
        found = find(self.images).points
        assert found is not None
        boxes = np.array([box_of(points)[1] for points in self.points])
        return 100 * np.linalg.norm((found - self.points)[..., :2], axis=2).mean(axis=1) / boxes


def seams(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How alike what lies on both sides of a line is, for lines up to DEEPEST pixels from each border [N, features]."""
    gray, found = images.astype(np.float32).mean(axis=3), []
    for turn in range(4):
        turned = np.rot90(gray, turn, (1, 2))
        for line in range(1, DEEPEST + 1):
            apart = np.abs(turned[:, line - 1 :: -1][:, :line] - turned[:, line + 1 : 2 * line + 1]).mean(axis=1)
            found.append(np.log1p(apart.reshape(len(images), 4, -1).mean(axis=2)))
    return np.concatenate(found, axis=1).astype(np.float64)


class SeamRidge:
    """Ridge regression of the points from ``seams`` and their squares."""

    def __init__(self, samples: Samples) -> None:
        found = seams(samples.images)
        self._mean, self._spread = found.mean(axis=0), found.std(axis=0) + 1e-6
        features, self._points = self._features(found), samples.points.mean(axis=0)
        gram = features.T @ features + 0.1 * len(features) * np.eye(features.shape[1])
        self._weights = np.linalg.solve(gram, features.T @ (samples.points - self._points).reshape(len(features), -1))

    def _features(self, found: NDArray[np.float64]) -> NDArray[np.float64]:
        scaled = (found - self._mean) / self._spread
        return np.concatenate([scaled, scaled**2 - 1], axis=1)

    def __call__(self, images: NDArray[np.uint8]) -> Found:
        moved = (self._features(seams(images)) @ self._weights).reshape(len(images), 68, 3)
        return Found((moved + self._points).astype(np.float32))


def border_of(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The images, gray but for their RING outer pixels."""
    bordered = images.copy()
    bordered[:, RING:-RING, RING:-RING] = GRAY
    return bordered


class BorderHogRidge:
    """HOG and ridge on the border alone."""

    def __init__(self, samples: Samples) -> None:
        self._find = HogRidge(replace(samples, images=border_of(samples.images)))

    def __call__(self, images: NDArray[np.uint8]) -> Found:
        return self._find(border_of(images))


@pytest.fixture(scope="module")
def photographs(landmark_model: Path) -> tuple[list[Photograph], list[Photograph]]:
    """Those of people to fit to, and of others."""
    mesh = CanonicalMesh.load(landmark_model)
    return [photograph(mesh, 0, number) for number in range(TRAINED)], [
        photograph(mesh, 1, number) for number in range(MEASURED)
    ]


def gain(photographs: tuple[list[Photograph], list[Photograph]], by: Cut, fit: Callable[[Samples], Find]) -> Interval:
    """By how much the NME of what ``fit`` gives is higher than the mean shape's, over people that it never saw."""
    seen, frozen = Crops.of(photographs[0], by, EPOCHS, "seen"), Crops.of(photographs[1], by, 1, "frozen")
    assert len(frozen.people) > 0.9 * MEASURED
    difference = frozen.errors(fit(seen.samples)) - frozen.errors(MeanShape(seen.samples))
    return paired_interval(difference, frozen.people, 1000, 0.95, 0)


@pytest.mark.slow
@pytest.mark.parametrize("fit", [SeamRidge, BorderHogRidge])
def test_the_border_of_a_crop_gives_nothing_away(
    photographs: tuple[list[Photograph], list[Photograph]], fit: Callable[[Samples], Find]
) -> None:
    found = gain(photographs, as_the_task_cuts, fit)
    assert found.high is not None
    assert found.high > 0, "not below the mean shape by more than chance"


@pytest.mark.slow
@pytest.mark.parametrize("border", [cv2.BORDER_REFLECT_101, cv2.BORDER_CONSTANT], ids=["mirrored", "padded"])
def test_the_border_of_a_crop_that_was_aligned_first_gives_the_points_away(
    photographs: tuple[list[Photograph], list[Photograph]], border: int
) -> None:
    found = gain(photographs, aligned_first(border), SeamRidge)
    assert found.high is not None
    assert found.high < 0, "what the test above would see"
