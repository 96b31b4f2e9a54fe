"""A chain of stages: frames in; the same frames, composited once, out."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facerecon.data.geometry import Square
from facerecon.errors import FaceReconError
from facerecon.inference.frames import Edit, Frame, Image
from facerecon.inference.stage import Runtime, Stage, StageRecord

AT_ONCE = 8
"""So many frames go through the stages together."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """A frame after all stages. ``image`` uint8 [sH, sW, 3], s = ``frame.scale``, has the edits in it; ``confidence``
    float32 [sH, sW] in [0, 1] is 1 where nothing was changed."""

    frame: Frame
    image: Image
    confidence: NDArray[np.float32]


class Chain:
    """Stages in their order, as a context manager; one serves one thread.

    Raises ``FaceReconError`` at once if a stage needs what none before it gives. ``given`` is what the frames bring.
    """

    def __init__(self, stages: Sequence[Stage], runtime: Runtime, given: frozenset[str] = frozenset()) -> None:
        self.stages, self._runtime = tuple(stages), runtime
        known = given
        for stage in self.stages:
            if absent := sorted(stage.needs - known):
                raise FaceReconError(
                    f"{type(stage).__name__} needs {', '.join(absent)}, and no stage before it gives that: add one, or "
                    "put them in another order"
                )
            known |= stage.gives
        self._open = ExitStack()

    def __enter__(self) -> "Chain":
        with ExitStack() as opening:
            for stage in self.stages:
                stage.open(self._runtime)
                opening.callback(stage.close)
            self._open = opening.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    def describe(self) -> tuple[StageRecord, ...]:
        """What was done, stage by stage."""
        return tuple(stage.describe() for stage in self.stages)

    def run(self, frames: Iterable[Frame], at_once: int = AT_ONCE) -> Iterator[Outcome]:
        """All frames in their order, ``at_once`` of them together."""
        waiting = iter(frames)
        while some := list(islice(waiting, at_once)):
            for stage in self.stages:
                some = stage.run(some)
            yield from map(composite, some)


def composite(frame: Frame) -> Outcome:
    """Put a frame's edits onto its ground, in their order; pixels that none covers stay as they are, bit for bit."""
    image = frame.ground.copy()
    confidence = np.ones(image.shape[:2], np.float32)
    for edit in frame.edits:
        height, width = edit.alpha.shape
        window = np.s_[edit.top : edit.top + height, edit.left : edit.left + width]
        square = edit.square.scaled(frame.scale)
        pixels = _onto_frame(edit.pixels, edit, square, cv2.INTER_CUBIC)
        least: NDArray[Any] = edit.confidence
        if edit.known.any():
            # what is known in the crop is sure; at the rim of a hole that must not make what was filled look surer
            reach = 2 * max(1, round(len(edit.pixels) / square.side)) + 1
            least = cv2.erode(np.where(edit.known == 1, np.float32(2), least), np.ones((reach, reach), np.uint8))
        sure = _onto_frame(least.astype(np.float32), edit, square, cv2.INTER_NEAREST).clip(0, 1)
        alpha = edit.alpha[..., None]
        mixed = (image[window] * (1 - alpha) + pixels * alpha).round().clip(0, 255).astype(np.uint8)
        image[window] = np.where(alpha == 0, image[window], np.where(alpha == 1, pixels, mixed))
        confidence[window] = (1 - edit.alpha) * confidence[window] + edit.alpha * sure
    return Outcome(frame, image, confidence)


def so_far(frame: Frame) -> tuple[Frame, NDArray[np.float32]]:
    """The frame with its edits in it, as large as its result, for a stage that goes on from what others have made; and
    the confidence float32 [sH, sW] of ``Outcome``. What edits cover wholly is hidden no longer."""
    outcome = composite(frame)
    hidden = None
    if frame.hidden is not None:
        hidden = frame.hidden.repeat(frame.scale, axis=0).repeat(frame.scale, axis=1)
        for edit in frame.edits:
            height, width = edit.alpha.shape
            hidden[edit.top : edit.top + height, edit.left : edit.left + width] &= edit.alpha < 1
        hidden = hidden if hidden.any() else None
    return replace(frame, image=outcome.image, hidden=hidden, edits=(), scale=1), outcome.confidence


def _onto_frame(crop: NDArray[Any], edit: Edit, square: Square, interpolation: int) -> NDArray[Any]:
    """A crop [S, S, ...] of ``square`` as it lies in the window of ``edit.alpha``; reduced ones are averaged, so as not
    to alias."""
    size, side = crop.shape[0], max(1, round(square.side))
    if side < size and interpolation != cv2.INTER_NEAREST:
        crop, size = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA), side
    matrix = square.matrix(size) - [[0, 0, edit.left], [0, 0, edit.top]]
    height, width = edit.alpha.shape
    return cv2.warpAffine(crop, matrix, (width, height), flags=interpolation, borderMode=cv2.BORDER_REPLICATE)
