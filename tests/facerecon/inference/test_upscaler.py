"""Real-ESRGAN is the published network, and enlarges faces better, to the eye, than bicubic interpolation."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from facerecon.contract import normalise
from facerecon.images import read_rgb
from facerecon.inference.upscaler import SCALE, WEIGHTS, Upscaler
from facerecon.sessions import open_session
from facerecon.weights import weights_path

# the weights are optional, and their package has 46 MB
pytestmark = pytest.mark.slow


def rrdbnet(image: Tensor) -> Tensor:
    """RRDBNet of 23 blocks written out (Wang et al., ESRGAN, 2018), with the file's weights: images in [0, 1]."""
    graph = onnx.load(weights_path(WEIGHTS)).graph
    found = {each.name: torch.from_numpy(onnx.numpy_helper.to_array(each).copy()).float() for each in graph.initializer}
    names = [name.removesuffix(".bias") for name in found if name.endswith(".bias")]
    layers = iter([(found[f"{name}.weight.half"], found[f"{name}.bias"]) for name in names])
    assert len(names) == 1 + 23 * 3 * 5 + 5

    def convolved(values: Tensor) -> Tensor:
        return F.conv2d(values, *next(layers), padding=1)

    def dense(values: Tensor) -> Tensor:
        grown = values
        for _ in range(4):
            grown = torch.cat((grown, F.leaky_relu(convolved(grown), 0.2)), dim=1)
        return 0.2 * convolved(grown) + values

    first = features = convolved(image)
    for _ in range(23):
        features = 0.2 * dense(dense(dense(features))) + features
    features = first + convolved(features)
    for _ in range(2):
        features = F.leaky_relu(convolved(F.interpolate(features, scale_factor=2.0, mode="nearest")), 0.2)
    return convolved(F.leaky_relu(convolved(features), 0.2))


def test_it_is_the_published_network() -> None:
    image = torch.rand((1, 3, 12, 17), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = (2 * rrdbnet(image) - 1).clamp(-1, 1)
    session = open_session(weights_path(WEIGHTS).read_bytes(), 1)
    (found,) = session.run(["restoration"], {"image": (2 * image - 1).numpy()})
    assert found.shape == (1, 3, 12 * SCALE, 17 * SCALE)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4)


def test_an_enlarged_face_is_nearer_to_the_eye_than_a_bicubic_one(sample_faces: Path) -> None:
    from facerecon.perception.lpips import LPIPS

    distance = LPIPS("alex")
    crops = np.stack([read_rgb(file)[64:192, 64:192] for file in sorted(sample_faces.rglob("*.jpg"))[:4]])
    wanted = torch.from_numpy(normalise(crops))
    small = F.interpolate(wanted, scale_factor=1 / SCALE, mode="bilinear", antialias=True)
    pixels = ((small + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    found = Upscaler(1).upscale(pixels)
    assert found.shape == crops.shape
    assert found.dtype == np.uint8
    with torch.no_grad():
        ours = distance(torch.from_numpy(normalise(found)), wanted).mean()
        bicubic = distance(F.interpolate(small, scale_factor=float(SCALE), mode="bicubic").clamp(-1, 1), wanted).mean()
    assert ours < 0.8 * bicubic
