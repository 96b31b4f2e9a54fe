"""The ONNX contract of restoration: input, outputs, and inputs to check the file with."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from facerecon.contract import normalise
from facerecon.data.datasets import evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.models.restoration import RestorationModel
from facerecon.models.trained import TrainedModel
from facerecon.tasks.restoration.cases import DegradedCases
from facerecon.tasks.restoration.network import network_of


class Contract(nn.Module):
    """The model with the input and outputs that the exported file promises."""

    def __init__(self, model: RestorationModel) -> None:
        super().__init__()
        self.model, self.stride, self.scale = model, model.stride, model.scale

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """``restoration`` and ``confidence`` of ``image``."""
        output = self.model(image)
        return output.restoration, output.confidence


def contract(trained: TrainedModel) -> Contract:
    """The network as the exported file promises it."""
    return Contract(network_of(trained)).eval()


def example(trained: TrainedModel) -> dict[str, NDArray[np.float32]]:
    """A gradient [1, 3, S, S] in [-1, 1]; S >= 32."""
    side = max(32, network_of(trained).stride)
    ramp = np.linspace(-1, 1, side, dtype=np.float32)
    return {"image": np.broadcast_to(ramp, (1, 3, side, side)).copy()}


def parity_inputs(manifest: Manifest, cases: DegradedCases, count: int) -> dict[str, NDArray[np.float32]]:
    """Faces of the val split as ``image`` [N, 3, H, W] in [-1, 1], under the frozen degradations in turn.

    Raises:
        FaceReconError: the val split has no face.
    """
    faces = evaluation_faces(manifest, "val", count)
    if not len(faces):
        raise FaceReconError("the val split has no face: give more people, or raise data.splits.val")
    degraded = [cases.images(preset, faces) for preset in cases.presets]
    chosen = [degraded[index % len(degraded)][index] for index in range(len(faces))]
    return {"image": normalise(np.stack(chosen))}
