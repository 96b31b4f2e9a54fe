"""FaceNet: the Inception-ResNet of facenet-pytorch with the weights learned on VGGFace2.

Schroff et al., "FaceNet", CVPR 2015; weights by David Sandberg, ported by Tim Esler. No package holds them: see
``facerecon.weights``.
"""

import pickle
from pathlib import Path

import torch
from torch import Tensor

from facerecon.errors import FaceReconError
from facerecon.perception.identity import IdentityNetwork, register
from facerecon.weights import weights_path

_IN_BOX = ((0.278, 0.375), (0.722, 0.375), (0.500, 0.580), (0.316, 0.748), (0.684, 0.748))
"""Where the five points lie in an MTCNN box: means over 68 LFW photos, made symmetric."""

_MARGIN = 14
"""The box has this many pixels of margin in a crop, both sides together, as in facenet-pytorch's evaluation on LFW."""


@register
class FaceNet(IdentityNetwork):
    """FaceNet at 160x160 with 512 dimensions. ``path`` is a state dict; without it the user's own file is found.

    Raises ``FaceReconError`` when there is none, or when it is not one of this network.
    """

    name = "facenet"
    input_size = 160
    dimensions = 512
    licence = "MIT (weights learned on VGGFace2)"

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        file = path or weights_path("facenet")
        # imported when it is used: it brings torchvision along
        from facenet_pytorch import InceptionResnetV1

        self.layers = InceptionResnetV1(pretrained=None)
        try:
            state = torch.load(file, weights_only=True, map_location="cpu")
            # the classifier of the people in the training set is not wanted
            self.layers.load_state_dict({k: v for k, v in state.items() if not k.startswith("logits.")})
        except (RuntimeError, AttributeError, pickle.UnpicklingError, EOFError) as error:
            raise FaceReconError(
                f"{file} holds no weights of facenet-pytorch's InceptionResnetV1 ({str(error)[:120]}): give another "
                "file with FACERECON_FACENET_WEIGHTS, or use 'sface'"
            ) from error
        template = torch.tensor(_IN_BOX) * (self.input_size - _MARGIN) + _MARGIN / 2
        self.register_buffer("template", template)

    def network(self, crops: Tensor) -> Tensor:
        # the network was trained on (value - 127.5) / 128
        return self.layers(crops * (127.5 / 128))
