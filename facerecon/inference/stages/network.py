"""What the stages that run a task's network have in common."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facerecon.contract import Signature
from facerecon.data.geometry import Square
from facerecon.errors import FaceReconError
from facerecon.inference.frames import Face
from facerecon.inference.predictor import Predictor
from facerecon.inference.stage import Runtime, StageRecord
from facerecon.settings import Settings

MAX_PADDING = 0.2
"""From so large a share of a face's square beyond the picture on it is told: training leaves such faces out."""


class NetworkSettings(Settings):
    """``model`` is the SHA-256 of the ONNX file."""

    model: str = Field(pattern="^[0-9a-f]{64}$")


class NetworkStage:
    """A stage that runs the network of one file; a subclass says of which task, and what it does with it.

    ``name`` and ``version`` are those of its record.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    signature: ClassVar[Signature]

    def __init__(self, settings: NetworkSettings) -> None:
        self.settings = settings
        self._predictor: Predictor | None = None

    @property
    def predictor(self) -> Predictor:
        """The network; the stage must be open."""
        assert self._predictor is not None
        return self._predictor

    def open(self, runtime: Runtime) -> None:
        """Get the network, which the runtime holds.

        Raises:
            FaceReconError: it is none, or of another task.
        """
        model = self.settings.model
        predictor = runtime.held(("model", model), lambda: Predictor.load(runtime.model(model), runtime.threads))
        if (task := predictor.about.task) != self.signature.task:
            raise FaceReconError(
                f"a model of task '{task}'; expected one of task '{self.signature.task}': `facerecon reconstruct` "
                "takes models of inpainting, `facerecon restore` of restoration, `facerecon landmarks` of landmarks"
            )
        self._predictor = predictor

    def close(self) -> None:
        """Let go of the network."""
        self._predictor = None

    def describe(self) -> StageRecord:
        """Which network, with its digests."""
        about = self.predictor.about
        digests = {
            "model": about.file_digest,
            "weights": about.weights_digest,
            "config": about.config_digest,
            "data": about.data_digest,
        }
        details = {"family": about.family, "size": str(about.size), "licence": about.licence}
        if about.scale != 1:
            details["scale"] = str(about.scale)
        parameters = self.settings.model_dump(mode="json")
        return StageRecord(
            name=self.name, version=self.version, parameters=parameters, digests=digests, details=details
        )


def place_in(square: Square, size: tuple[int, int]) -> tuple[int, int, NDArray[np.float32]]:
    """Where the pixels of a picture of ``size`` around a square lie in it: top, left, and [h, w, 2] from there on: x
    and y of each pixel's centre, 0 to 1 within the square."""
    corners = square.corners
    low = np.floor(corners.min(0)).clip(0, [size[1], size[0]]).astype(int)
    high = np.ceil(corners.max(0)).clip(low, [size[1], size[0]]).astype(int)
    x, y = np.meshgrid(np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5)
    place = square.to_crop(np.stack([x, y], -1).reshape(-1, 2).astype(np.float32), 1)
    return int(low[1]), int(low[0]), place.reshape(*x.shape, 2)


def padding_remarks(face: Face, padding: float) -> list[str]:
    """What is to be said of a face if so large a share of its square lies beyond the picture."""
    return [f"face {face.number}: {padding:.0%} of its square lies beyond the picture"] if padding > MAX_PADDING else []
