"""Measuring whatever finds points and depth, face by face, under each frozen degradation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from facerecon.data.datasets import EvaluationFaces
from facerecon.data.geometry import box_of
from facerecon.data.manifest import Manifest
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.metrics import from_uint8
from facerecon.evaluation.scores import Scores
from facerecon.models.landmarks import NEAR, LandmarkModel
from facerecon.progress import track
from facerecon.randomness import unit_interval
from facerecon.tasks.landmarks.cases import LandmarkCases
from facerecon.tasks.landmarks.details import Truth
from facerecon.tasks.landmarks.gate_settings import ALL
from facerecon.tasks.landmarks.metrics import DEPTH, FAILED, FAILURE, NME, NME_3D
from facerecon.tasks.landmarks.truth import Target, chosen_faces, known_faces, target_of

BATCH = 32

Floats = NDArray[np.float32]


class Found(NamedTuple):
    """``points`` [N, 68, 3] in pixels of the crop, NaN of a face that was not found; ``depth`` [N, S, S] in pixels, NaN
    likewise; ``confidence`` [N, 68]; ``mesh`` [N, 468, 3], MediaPipe's, in pixels, NaN likewise. None of what a method
    does not give."""

    points: Floats | None
    depth: Floats | None = None
    confidence: Floats | None = None
    mesh: Floats | None = None


Find = Callable[[NDArray[np.uint8]], Found]
"""Crops uint8 [N, S, S, 3] -> Found."""


@dataclass(frozen=True)
class Measured:
    """Faces with a frozen crop and with known points, all of one ``truth``: ``targets`` are what is known of each."""

    faces: EvaluationFaces
    targets: tuple[Target, ...]
    truth: Truth

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def names(self) -> tuple[str, ...]:
        """What scores are keyed by."""
        return self.faces.faces

    @property
    def exact(self) -> bool:
        """Whether the truth is as drawn."""
        return self.truth is Truth.EXACT

    def first(self, most: int) -> "Measured":
        """At most ``most`` of them: those whose names' hashes come first, so that growth changes few."""
        order = sorted(range(len(self)), key=lambda at: unit_interval("evaluate", self.names[at]))
        return self.those(sorted(order[:most]))

    def those(self, index: Sequence[int]) -> "Measured":
        """Those at ``index``."""
        return Measured(self.faces.those(index), tuple(self.targets[at] for at in index), self.truth)

    @property
    def points(self) -> Floats:
        """The true points [N, 68, 3]."""
        return np.stack([target.points for target in self.targets])


def measured_faces(manifest: Manifest, cases: LandmarkCases, name: str, most: int) -> list[Measured]:
    """Those of a split or a set that can be measured, by truth, the exact ones first, ``most`` of each source; [] of
    none."""
    faces = chosen_faces(manifest, name, most)
    known = known_faces(manifest, [face for face in faces.faces if cases.has(face)])
    found = []
    for truth in Truth:
        index = [at for at, face in enumerate(faces.faces) if face in known and known[face].truth is truth]
        if index:
            chosen = faces.those(index)
            targets = tuple(
                target_of(known[face], cases.square(face), manifest.size, box_of(known[face].points)[1])
                for face in chosen.faces
            )
            found.append(Measured(chosen, targets, truth))
    return found


def find_by_model(model: LandmarkModel, device: torch.device | None = None) -> Find:
    """What the model finds, in batches of BATCH."""

    @torch.inference_mode()
    def find(images: NDArray[np.uint8]) -> Found:
        points, depth, confidence = [], [], []
        for start in range(0, len(images), BATCH):
            image = from_uint8(images[start : start + BATCH])
            output = model(image if device is None else image.to(device))
            points.append(output.landmarks.float().cpu().numpy())
            depth.append(output.depth[:, 0].float().cpu().numpy())
            confidence.append(output.confidence.float().cpu().numpy())
        return Found(np.concatenate(points), np.concatenate(depth), np.concatenate(confidence))

    return find


def measure(
    face_set: str,
    methods: Mapping[str, Find],
    measured: Measured,
    cases: LandmarkCases,
    what: str = "",
    observe: Callable[[str, str, Found], None] | None = None,
) -> Scores:
    """The figures of ``methods`` under each degradation, and their means over all of them, by face.

    A method's face that is not found has failed and has no other figure; it has no mean either. ``observe`` is given
    degradation, method and what was found.
    """
    scores = Scores()
    every: dict[tuple[str, str], list[NDArray[np.float64]]] = {}
    for preset in track(cases.presets, what) if what else cases.presets:
        images = cases.images(preset, measured.names)
        for method, find in methods.items():
            found = find(images)
            for metric, values in figures(found, measured).items():
                add_known(scores, MetricKey(face_set, metric, preset), method, measured.names, values)
                every.setdefault((metric, method), []).append(values)
            if observe is not None:
                observe(preset, method, found)
    for (metric, method), parts in every.items():
        add_known(scores, MetricKey(face_set, metric, ALL), method, measured.names, np.mean(np.stack(parts), axis=0))
    return scores


def add_known(scores: Scores, key: MetricKey, method: str, names: Sequence[str], values: NDArray[np.float64]) -> None:
    kept = ~np.isnan(values)
    if kept.any():
        scores.add(key, method, [name for name, keeps in zip(names, kept, strict=True) if keeps], values[kept])


def figures(found: Found, measured: Measured) -> dict[str, NDArray[np.float64]]:
    """Each face's figures [N] by metric; NaN where there is none."""
    values: dict[str, NDArray[np.float64]] = {}
    if found.points is not None:
        errors = found.points.astype(np.float64) - measured.points
        boxes = np.array([target.box for target in measured.targets])
        nme = 100 * np.linalg.norm(errors[..., :2], axis=2).mean(axis=1) / boxes
        values = {
            NME.name: nme,
            NME_3D.name: 100 * np.linalg.norm(errors, axis=2).mean(axis=1) / boxes,
            FAILURE.name: 100.0 * ~(nme <= FAILED),
        }
    if found.depth is not None and measured.exact:
        pairs = zip(found.depth, measured.targets, strict=True)
        values[DEPTH.name] = np.array([depth_rmse(depth, target) for depth, target in pairs])
    return values


def is_near(found: Found, measured: Measured) -> NDArray[np.bool_]:
    """Which points [N, 68] lie NEAR the true ones in the image."""
    assert found.points is not None
    boxes = np.array([target.box for target in measured.targets])
    distance = np.linalg.norm((found.points.astype(np.float64) - measured.points)[..., :2], axis=2)
    return distance <= NEAR * boxes[:, None]


def depth_rmse(depth: Floats, target: Target) -> float:
    """The root of the mean squared error in mm inside the face, after the scale and shift that suit it best; NaN of a
    face of which no depth is known, or that was not found."""
    said, true = depth[target.inside].astype(np.float64), target.depth[target.inside].astype(np.float64)
    if len(true) < 2 or not np.isfinite(said).all():
        return float("nan")
    centred = said - said.mean()
    spread = float(centred @ centred)
    scale = float(centred @ (true - true.mean())) / spread if spread > 0 else 0.0
    errors = true - true.mean() - scale * centred
    return float(np.sqrt(np.mean(errors**2))) * target.millimetres
