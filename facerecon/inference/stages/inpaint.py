"""Filling what is hidden of a face by an inpainting network."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facerecon.contract import INPAINTING
from facerecon.data.geometry import Square
from facerecon.errors import FaceReconError
from facerecon.inference.frames import EDITS, HIDDEN, SQUARE, Edit, Face, Frame, Image
from facerecon.inference.inpainting import Inpainted, inpaint
from facerecon.inference.predictor import Predictor
from facerecon.inference.stage import Runtime, StageRecord, register_stage
from facerecon.settings import Settings

KIND = "inpainting"

MAX_PADDING = 0.2
"""From so large a share of a face's square beyond the picture on it is told: training leaves such faces out."""


class InpaintSettings(Settings):
    """``model`` is the SHA-256 of the ONNX file."""

    model: str = Field(pattern="^[0-9a-f]{64}$")


@dataclass(frozen=True, eq=False)
class _Cut:
    """A face's crop with its hole, and where the hole lies in the frame (see ``Edit``)."""

    face: Face
    image: Image
    hole: NDArray[np.uint8]
    top: int
    left: int
    alpha: NDArray[np.float32]


@register_stage("inpaint", InpaintSettings)
class Inpaint:
    """Each face that has a hole in its square is cut out at the network's size, filled, and told as an edit."""

    needs = frozenset({SQUARE, HIDDEN})
    gives = frozenset({EDITS})

    def __init__(self, settings: InpaintSettings) -> None:
        self.settings = settings
        self._predictor: Predictor | None = None

    def open(self, runtime: Runtime) -> None:
        """Get the network.

        Raises:
            FaceReconError: it is none, or of another task.
        """
        model = self.settings.model
        predictor = runtime.held(("model", model), lambda: Predictor.load(runtime.model(model), runtime.threads))
        if predictor.about.task != INPAINTING.task:
            raise FaceReconError(f"a model of task '{predictor.about.task}'; expected one of '{INPAINTING.task}'")
        self._predictor = predictor

    def close(self) -> None:
        """Let go of the network."""
        self._predictor = None

    def run(self, frames: list[Frame]) -> list[Frame]:
        """The same frames with an edit for each face that has a hole."""
        assert self._predictor is not None
        return fill_faces(frames, self._predictor.about.size, partial(inpaint, self._predictor))

    def describe(self) -> StageRecord:
        """Which network, with its digests."""
        assert self._predictor is not None
        about = self._predictor.about
        digests = {
            "model": about.file_digest,
            "weights": about.weights_digest,
            "config": about.config_digest,
            "data": about.data_digest,
        }
        details = {"family": about.family, "size": str(about.size), "licence": about.licence}
        parameters = self.settings.model_dump(mode="json")
        return StageRecord(name="inpaint", version=1, parameters=parameters, digests=digests, details=details)


Fill = Callable[[NDArray[np.uint8], NDArray[np.uint8]], Inpainted]
"""Fills the holes of images uint8 [N, S, S, 3], ``masks`` uint8 [N, S, S] (1 = hole, 0 = known)."""


def fill_faces(frames: list[Frame], size: int, fill: Fill) -> list[Frame]:
    """The same frames with an edit for each face that has a hole in its square: cut out at ``size`` pixels, filled."""
    cuts = [_cuts(frame, size) for frame in frames]
    every = [cut for some, _ in cuts for cut in some]
    if not every:
        return [frame.remarked(*said) for frame, (_, said) in zip(frames, cuts, strict=True)]
    filled = fill(np.stack([cut.image for cut in every]), np.stack([cut.hole for cut in every]))
    made = zip(every, filled.images, filled.confidences, strict=True)
    edits = iter([_edit(cut, image, confidence) for cut, image, confidence in made])
    return [
        replace(frame, edits=(*frame.edits, *(next(edits) for _ in some))).remarked(*said)
        for frame, (some, said) in zip(frames, cuts, strict=True)
    ]


def _cuts(frame: Frame, size: int) -> tuple[list[_Cut], list[str]]:
    """The faces to fill, and what is to be said about the frame."""
    if frame.hidden is None or not frame.hidden.any():
        return [], ["nothing is hidden"] if frame.faces else []
    left = frame.hidden.copy()
    cuts, said = [], []
    for face in frame.faces:
        top, begin, within = _within(face[SQUARE], frame.size)
        window = np.s_[top : top + within.shape[0], begin : begin + within.shape[1]]
        hole = within & left[window]
        if not hole.any():
            continue
        left[window] &= ~hole  # where squares overlap the larger face's network fills
        image, crop_hole, padding = frame.crop(face[SQUARE], size)
        cuts.append(_Cut(face, image, crop_hole, top, begin, hole.astype(np.float32)))
        if padding > MAX_PADDING:
            said.append(f"face {face.number}: {padding:.0%} of its square lies beyond the picture")
        if crop_hole.all():
            said.append(f"face {face.number}: nothing of it is known, all of it is made up")
    if (outside := int(left.sum())) and frame.faces:
        share = outside / int(frame.hidden.sum())
        said.append(f"{share:.1%} of what is hidden lies outside the squares of the faces taken: left as it is")
    return cuts, said


def _within(square: Square, size: tuple[int, int]) -> tuple[int, int, NDArray[np.bool_]]:
    """Which pixels of a frame of ``size`` have their centre in ``square``: top, left, and bool [h, w] from there on."""
    corners = square.corners
    low = np.floor(corners.min(0)).clip(0, [size[1], size[0]]).astype(int)
    high = np.ceil(corners.max(0)).clip(low, [size[1], size[0]]).astype(int)
    x, y = np.meshgrid(np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5)
    place = square.to_crop(np.stack([x, y], -1).reshape(-1, 2).astype(np.float32), 1)
    within: NDArray[np.bool_] = np.all((place >= 0) & (place < 1), axis=1).reshape(x.shape)
    return int(low[1]), int(low[0]), within


def _edit(cut: _Cut, image: Image, confidence: NDArray[np.float32]) -> Edit:
    known = (1 - cut.hole).astype(np.uint8)
    return Edit(KIND, cut.face.number, cut.face[SQUARE], image, confidence, known, cut.top, cut.left, cut.alpha)
