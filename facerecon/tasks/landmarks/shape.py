"""The shape of faces in 3D: the morphable model fitted to the points that methods find, beside the true vertices.

Only drawn faces have true vertices and a known camera. Of others nothing is told in millimetres: their camera is
assumed, and only how well the fitted face meets the points is known.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facerecon.data.manifest import Manifest
from facerecon.data.photos import NoPhotoError, read_photo
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.promotion import MODEL
from facerecon.evaluation.scores import Scores
from facerecon.morphable.fit import EXACT_NOISE, Camera, Fit, assumed_camera, fit
from facerecon.morphable.model import load
from facerecon.perception.landmarks import SIXTY_EIGHT
from facerecon.tasks.landmarks.cases import LandmarkCases
from facerecon.tasks.landmarks.details import MEDIAPIPE, FitRow, Shape
from facerecon.tasks.landmarks.evaluator import Found, Measured, add_known
from facerecon.tasks.landmarks.gate_settings import ALL
from facerecon.tasks.landmarks.metrics import VERTEX

MEAN_FACE, MEDIAPIPE_FIT = "mean_face", "mediapipe_fit"

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Seen:
    """A face's ``camera``, and its true ``vertices`` [468, 3] in mm in the camera's frame; None where none are known,
    and then the camera is an assumed one."""

    camera: Camera
    vertices: Floats | None


def seen_of(manifest: Manifest, row: "pd.Series[Any]") -> Seen | None:
    """What is known of how a face, a ``row`` of the manifest, was seen; None where its photograph is not at hand."""
    store, face = manifest.aligned_faces, str(row["face"])
    if store.has_truth(face, "vertices"):
        told, focal = store.truth(face, "vertices").astype(np.float64), float(store.truth(face, "focal"))
        height, width = (2 * side for side in store.truth(face, "depth").shape)
        flat = (told[:, :2] - [width / 2, height / 2]) * [1.0, -1.0] * (told[:, 2:] / focal)
        return Seen(Camera(focal, (width / 2, height / 2)), 10 * np.column_stack([flat, -told[:, 2]]))
    try:
        return Seen(assumed_camera(*read_photo(manifest, row).shape[:2]), None)
    except NoPhotoError:
        return None


def aligned(points: Floats, target: Floats) -> NDArray[np.float64]:
    """Points [K, 3] under the similarity that brings them closest to others in the sum of squares (Umeyama, 1991)."""
    from skimage.transform import SimilarityTransform

    return np.asarray(SimilarityTransform.from_estimate(points.astype(np.float64), target)(points), np.float64)


def vertex_error(vertices: Floats, true: Floats) -> float:
    """The mean distance of vertices [468, 3] of any unit to true ones in mm, after similarity alignment, in mm."""
    return float(np.linalg.norm(aligned(vertices, true) - true, axis=1).mean())


class Shapes:
    """The shape of the faces of one set: shown what methods find in them, it fits the model to it."""

    def __init__(self, face_set: str, measured: Measured, manifest: Manifest, cases: LandmarkCases) -> None:
        self.face_set, self._measured, self._size, self._model = face_set, measured, manifest.size, load()
        self._squares = [cases.square(face) for face in measured.names]
        self._seen = [seen_of(manifest, row) for _, row in measured.faces.rows.iterrows()]
        self._errors: dict[tuple[str, str], NDArray[np.float64]] = {}
        self._rows: list[FitRow] = []
        same = [10 * self._model.mean] * len(measured)
        self._mean_face = self._errors_of(same)

    def observe(self, preset: str, method: str, found: Found) -> None:
        """Fit to what ``method`` found under a degradation: a network's points, or MediaPipe's; to nothing else."""
        if found.mesh is not None:
            # its y grows downwards
            meshes = found.mesh * np.array([1, -1, 1], np.float32)
            self._errors[preset, MEDIAPIPE] = self._errors_of(meshes)
            fits = self._fits(found.mesh[:, list(SIXTY_EIGHT)])
            self._errors[preset, MEDIAPIPE_FIT] = self._errors_of(_vertices(fits))
        elif found.points is not None and found.confidence is not None:
            fits = self._fits(found.points, found.confidence)
            self._errors[preset, method] = self._errors_of(_vertices(fits))
            self._errors[preset, MEAN_FACE] = self._mean_face
            if method == MODEL:
                self._rows.append(self._row(preset, fits))

    def scores(self, methods: Iterable[str] | None = None) -> Scores:
        """Vertex errors under each degradation and their means over all, of some ``methods`` or of all that were
        observed; none without truth."""
        scores = Scores()
        for method in dict.fromkeys(method for _, method in self._errors) if methods is None else methods:
            of = {preset: errors for (preset, other), errors in self._errors.items() if other == method}
            for preset, errors in {**of, ALL: np.mean(np.stack(list(of.values())), axis=0)}.items():
                key = MetricKey(self.face_set, VERTEX.name, preset)
                add_known(scores, key, method, self._measured.names, errors)
        return scores

    def told(self) -> Shape:
        """What is told beside scores."""
        errors, refused = [], 0
        for seen in self._seen:
            if seen is not None and seen.vertices is not None:
                exact = seen.camera.project(seen.vertices[list(SIXTY_EIGHT)])
                fitted = fit(self._model, exact, seen.camera, noise=EXACT_NOISE)
                errors.append(vertex_error(fitted.vertices, seen.vertices))
                refused += bool(fitted.refused)
        if not errors:
            return Shape(face_set=self.face_set, rows=tuple(self._rows))
        return Shape(
            face_set=self.face_set,
            rows=tuple(self._rows),
            explained=self._model.explained,
            exact=float(np.mean(errors)),
            exact_refused=refused,
        )

    def sample(self, at: int, found: Found) -> dict[str, NDArray[Any]]:
        """For the report, of the face ``at``, in which one was ``found``; NaN of what is not known.

        ``shape`` and ``true_shape`` float32 [468, 3]: mm in the head's own frame, the latter brought to the former;
        ``vertices`` [468, 3]: the fitted face in mm in the camera's frame, and ``projected`` [468, 2] in pixels of the
        crop; ``vertex_error`` in mm.
        """
        unknown, error = np.full((len(self._model.mean), 3), np.nan, np.float32), float("nan")
        assert found.points is not None
        seen = self._seen[at]
        fitted = self._fit(at, found.points[0], None if found.confidence is None else found.confidence[0])
        if fitted is None or seen is None:
            shape = true = vertices = unknown
            projected = unknown[:, :2]
        else:
            shape, vertices = fitted.shape, fitted.vertices
            projected = self._squares[at].to_crop(fitted.projected, self._size)
            true = unknown if seen.vertices is None else aligned(seen.vertices, shape).astype(np.float32)
            error = error if seen.vertices is None else vertex_error(vertices, seen.vertices)
        return {
            "shape": shape,
            "true_shape": true,
            "vertices": vertices,
            "projected": projected,
            "vertex_error": np.array(error),
        }

    def _fit(self, at: int, points: Floats, weights: Floats | None) -> Fit | None:
        """To points [68, >=2] of the crop of the face ``at``; None where its camera is not known or they are not."""
        seen = self._seen[at]
        if seen is None or not np.isfinite(points).all():
            return None
        return fit(self._model, self._squares[at].from_crop(points, self._size), seen.camera, weights)

    def _fits(self, points: Floats, weights: Floats | None = None) -> list[Fit | None]:
        """To points [N, 68, >=2] of the crops of all faces."""
        return [self._fit(at, each, None if weights is None else weights[at]) for at, each in enumerate(points)]

    def _errors_of(self, vertices: Iterable[Floats | None]) -> NDArray[np.float64]:
        """Of vertices [468, 3] of each face [N]; NaN where they or the true ones are not known."""
        return np.array(
            [
                np.nan
                if each is None or seen is None or seen.vertices is None or not np.isfinite(each).all()
                else vertex_error(each, seen.vertices)
                for each, seen in zip(vertices, self._seen, strict=True)
            ]
        )

    def _row(self, preset: str, fits: list[Fit | None]) -> FitRow:
        boxes = [
            target.box * where.side / self._size
            for target, where in zip(self._measured.targets, self._squares, strict=True)
        ]
        missed = [100 * each.reprojection / box for each, box in zip(fits, boxes, strict=True) if each is not None]
        return FitRow(
            case=preset,
            faces=len(missed),
            refused=sum(each is not None and bool(each.refused) for each in fits),
            reprojection=float(np.mean(missed)) if missed else None,
        )


def _vertices(fits: Iterable[Fit | None]) -> list[Floats | None]:
    return [None if each is None else each.vertices for each in fits]
