"""The ONNX contract of inpainting: inputs, outputs, and inputs to check the file with."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from facerecon.contract import normalise
from facerecon.data.datasets import evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.models import ReconstructionModel
from facerecon.models.trained import TrainedModel
from facerecon.tasks.inpainting.cases import MaskCases
from facerecon.tasks.inpainting.network import network_of


class Contract(nn.Module):
    """The model with the inputs and outputs that the exported file promises."""

    def __init__(self, model: ReconstructionModel) -> None:
        super().__init__()
        self.model, self.stride = model, model.stride

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """``reconstruction`` and ``confidence`` of ``image`` and ``mask``."""
        output = self.model(image, mask)
        return output.reconstruction, output.confidence(mask)


def contract(trained: TrainedModel) -> Contract:
    """The network as the exported file promises it."""
    return Contract(network_of(trained)).eval()


def example(trained: TrainedModel) -> dict[str, NDArray[np.float32]]:
    """A gradient [1, 3, S, S] in [-1, 1] and a mask [1, 1, S, S] with a square hole (1) in the middle; S >= 32."""
    side = max(32, network_of(trained).stride)
    ramp = np.linspace(-1, 1, side, dtype=np.float32)
    image = np.broadcast_to(ramp, (1, 3, side, side)).copy()
    mask = np.zeros((1, 1, side, side), np.float32)
    mask[..., side // 4 : side // 2, side // 4 : side // 2] = 1
    return {"image": image, "mask": mask}


def parity_inputs(manifest: Manifest, cases: MaskCases, count: int) -> dict[str, NDArray[np.float32]]:
    """Faces of the val split as ``image`` [N, 3, H, W] in [-1, 1], and ``mask`` [N, 1, H, W] of every kind in turn.

    Raises:
        FaceReconError: the val split has no face.
    """
    faces = evaluation_faces(manifest, "val", count)
    if not len(faces):
        raise FaceReconError("the val split has no face: give more people, or raise data.splits.val")
    masks = cases.masks
    kinds = sorted(masks.masks)
    chosen = [masks.for_face(sha, *kinds[index % len(kinds)]) for index, sha in enumerate(faces.sha256s)]
    return {
        "image": normalise(faces.images),
        "mask": np.stack(chosen)[:, None].astype(np.float32),
    }
