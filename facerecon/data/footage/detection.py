"""Finding faces in frames, with five points each: MediaPipe for large faces, MTCNN for small ones.

MTCNN: Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks", 2016, as in
facenet-pytorch. MediaPipe's detector looks at the frame scaled down and sees faces of a fifth of it or more.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facerecon.data.settings import FootageSettings
from facerecon.errors import FaceReconError
from facerecon.files import sha256_file
from facerecon.perception.landmarks import FaceLandmarker, Points, five_points

Image = NDArray[np.uint8]

LARGE = 0.2
"""Faces lower than this share of a frame's shorter side are MTCNN's: MediaPipe does not see them."""

SMALLEST = 12
"""MTCNN's first stage looks at squares of so many pixels: smaller faces nothing finds."""

SURE = 0.9
"""The confidence from which on a face that is too small to be read is told of."""

MOST_FACES = 16
"""So many faces MediaPipe looks for in a frame."""

_LOOKED_AT = 1_000_000
"""So many pixels MTCNN looks at when it looks for the smallest faces."""

_SAME_FACE = 0.4
"""Two boxes that share more than this of the smaller one are of one face."""

_THRESHOLDS, _FACTOR = [0.6, 0.7, 0.7], 0.709
"""MTCNN's own: the score that a face needs in each of its three stages, and the step of its pyramid."""

_MTCNN_FILES = {
    "pnet": "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
    "rnet": "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
    "onet": "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
}
"""SHA-256 of the weights that facenet-pytorch 2.5.3 brings."""


@dataclass(frozen=True)
class Found:
    """A face in a frame, in pixels: ``box`` [4] left, top, right, bottom; ``points`` [5, 2] as in ``five_points``."""

    box: NDArray[np.float32]
    points: Points
    confidence: float

    @property
    def height(self) -> float:
        """The height of the box in pixels."""
        return float(self.box[3] - self.box[1])


class FaceFinder:
    """The detectors that ``settings.detector`` names. ``model`` is the FaceLandmarker bundle; one serves one thread.

    Raises ``FaceReconError`` if the weights in facenet-pytorch are not those that are known.
    """

    def __init__(self, settings: FootageSettings, model: Path) -> None:
        self.settings = settings
        self._mediapipe = None if settings.detector == "mtcnn" else FaceLandmarker(model, MOST_FACES)
        self._mtcnn = None if settings.detector == "mediapipe" else _Mtcnn(settings.min_face)

    def find(self, image: Image) -> list[Found]:
        """The faces at least ``min_face`` high in an RGB image uint8 [H, W, 3], largest first, each once."""
        return [face for face in self.find_all(image) if face.height >= self.settings.min_face]

    def find_all(self, image: Image) -> list[Found]:
        """The same, and what smaller faces were found on the way."""
        found: list[Found] = []
        if self._mediapipe:
            found += [_of_landmarks(points) for points, _ in self._mediapipe.detect(image)]
        if self._mtcnn and (not found or self.settings.min_face < LARGE * min(image.shape[:2])):
            found += self._mtcnn.find(image)
        return sorted(_each_once(found), key=lambda face: -face.height)

    def tallest_overlooked(self, image: Image) -> float:
        """The height of the tallest face that MTCNN finds, down to ``SMALLEST``, whatever the settings say; 0 if none.

        It is for images in which ``find`` saw nobody.
        """
        # of large frames the smallest faces are let go: the first stage would take gigabytes
        least = max(SMALLEST, round(SMALLEST * float(np.sqrt(image.shape[0] * image.shape[1] / _LOOKED_AT))))
        return max((face.height for face in _Mtcnn(least).find(image) if face.confidence >= SURE), default=0.0)

    def close(self) -> None:
        """Free MediaPipe's graph and its threads."""
        if self._mediapipe:
            self._mediapipe.close()


def _of_landmarks(points: Points) -> Found:
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    return Found(np.concatenate([low, high]).astype(np.float32), five_points(points), 1.0)


def _each_once(found: list[Found]) -> list[Found]:
    """Without boxes that lie on one that came earlier: MediaPipe's before MTCNN's, and those surest first."""
    kept: list[Found] = []
    for face in found:
        if all(_shared(face.box, other.box) <= _SAME_FACE for other in kept):
            kept.append(face)
    return kept


def _shared(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The area that two boxes share, as a part of the smaller one's."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    smaller = min(float(np.prod(box[2:] - box[:2])) for box in (one, other))
    return float(np.prod(sides.clip(0))) / max(smaller, 1e-6)


class _Mtcnn:
    """facenet-pytorch's three networks. Its own class loads their weights without ``weights_only``."""

    def __init__(self, min_face: int) -> None:
        import facenet_pytorch  # brings torchvision along
        from facenet_pytorch.models.mtcnn import ONet, PNet, RNet
        from facenet_pytorch.models.utils.detect_face import detect_face

        folder = Path(facenet_pytorch.__file__).parent / "data"
        kinds: dict[str, Any] = {"pnet": PNet, "rnet": RNet, "onet": ONet}
        self._networks = [_loaded(kind(pretrained=False), folder / f"{name}.pt", name) for name, kind in kinds.items()]
        self._detect, self._min_face = detect_face, min_face

    def find(self, image: Image) -> list[Found]:
        """Faces, surest first."""
        if min(image.shape[:2]) < self._min_face:
            return []
        try:
            with torch.inference_mode():
                boxes, points = self._detect(
                    image, self._min_face, *self._networks, _THRESHOLDS, _FACTOR, torch.device("cpu")
                )
        except RuntimeError as error:
            if "non-empty list" not in str(error):
                raise
            return []  # it fails where all that its first stage proposes lies outside the frame
        rows = sorted(zip(boxes[0], points[0], strict=True), key=lambda row: -row[0][4])
        return [Found(box[:4].astype(np.float32), five.astype(np.float32), float(box[4])) for box, five in rows]


def _loaded(network: torch.nn.Module, path: Path, name: str) -> torch.nn.Module:
    if not path.is_file() or sha256_file(path) != _MTCNN_FILES[name]:
        raise FaceReconError(f"{path} is not what facenet-pytorch 2.5.3 brings: install it anew from requirements.lock")
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.requires_grad_(False).eval()
