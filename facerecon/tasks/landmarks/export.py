"""The ONNX contract of landmarks: input, outputs, and inputs to check the file with."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from facerecon.contract import normalise
from facerecon.data.datasets import evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.models.landmarks import LandmarkModel
from facerecon.models.trained import TrainedModel
from facerecon.tasks.landmarks.cases import LandmarkCases
from facerecon.tasks.landmarks.network import network_of


class Contract(nn.Module):
    """The model with the input and outputs that the exported file promises."""

    def __init__(self, model: LandmarkModel) -> None:
        super().__init__()
        self.model, self.stride = model, model.stride

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``landmarks``, ``depth`` and ``confidence`` of ``image``."""
        output = self.model(image)
        return output.landmarks, output.depth, output.confidence


def contract(trained: TrainedModel) -> Contract:
    """The network as the exported file promises it."""
    return Contract(network_of(trained)).eval()


def example(trained: TrainedModel) -> dict[str, NDArray[np.float32]]:
    """A gradient [1, 3, S, S] in [-1, 1] of the size that the network was trained on."""
    ramp = np.linspace(-1, 1, trained.size, dtype=np.float32)
    return {"image": np.broadcast_to(ramp, (1, 3, trained.size, trained.size)).copy()}


def parity_inputs(manifest: Manifest, cases: LandmarkCases, count: int) -> dict[str, NDArray[np.float32]]:
    """Crops of the val split as ``image`` [N, 3, S, S] in [-1, 1], under the frozen degradations in turn.

    Raises:
        FaceReconError: no face of the val split has a crop.
    """
    faces = [face for face in evaluation_faces(manifest, "val", count).faces if cases.has(face)]
    if not faces:
        raise FaceReconError("no face of the val split has a crop: give more people, or raise data.splits.val")
    degraded = [cases.images(preset, faces) for preset in cases.presets]
    return {"image": normalise(np.stack([degraded[index % len(degraded)][index] for index in range(len(faces))]))}
