"""A network in the files of ncnn is read as it is meant, and what is not known is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from facerecon.ncnn import HALF, MAGIC, image_network
from facerecon.sessions import open_session

LAYERS = """
Input         in      0 1 data
Convolution   first   1 1 data a 0=5 1=3 4=1 5=1 6=135 9=2 -23310=1,2.000000e-01
Split         split   1 3 a a0 a1 a2
Convolution   second  1 1 a0 b 0=3 1=1 4=0 5=1 6=15
Concat        concat  2 1 a1 b c
Convolution   third   1 1 c d 0=5 1=3 4=1 5=0 6=360
Eltwise       mixed   2 1 d a2 e 0=1 -23301=2,2.000000e-01,1.000000e+00
BinaryOp      sum     2 1 e a2 f
Interp        twice   1 1 f g 0=1 1=2.000000e+00 2=2.000000e+00
Convolution   last    1 1 g out 0=3 1=3 4=1 5=1 6=135
""".strip()

SHAPES = {"first": (5, 3, 3, 3), "second": (3, 5, 1, 1), "third": (5, 8, 3, 3), "last": (3, 5, 3, 3)}


def kernels() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Weights of 16 bits, odd in number, and biases of 32."""
    rng = np.random.default_rng(0)
    return {
        name: (rng.normal(0, 0.2, shape).astype(np.float16), rng.normal(0, 0.1, shape[0]).astype(np.float32))
        for name, shape in SHAPES.items()
    }


def written(folder: Path, layers: str = LAYERS, mark: int = HALF, more: bytes = b"") -> tuple[Path, Path]:
    """The two files of the network."""
    param, weights = folder / "net.param", folder / "net.bin"
    count = layers.count("\n") + 1
    param.write_text(f"{MAGIC}\n{count} {count}\n{layers}\n")
    content = b""
    for name, (kernel, bias) in kernels().items():
        content += np.uint32(mark).tobytes() + kernel.tobytes()
        content += b"\0" * (-len(content) % 4) + (bias.tobytes() if name != "third" else b"")
    weights.write_bytes(content + more)
    return param, weights


def by_hand(image: torch.Tensor) -> torch.Tensor:
    """The network of LAYERS, written out."""
    weights = {name: [torch.from_numpy(each).float() for each in pair] for name, pair in kernels().items()}
    a = F.leaky_relu(F.conv2d((image + 1) / 2, *weights["first"], padding=1), 0.2)
    c = torch.cat((a, F.conv2d(a, *weights["second"])), dim=1)
    f = 0.2 * F.conv2d(c, weights["third"][0], padding=1) + a + a
    out = F.conv2d(F.interpolate(f, scale_factor=2.0, mode="nearest"), *weights["last"], padding=1)
    return (2 * out - 1).clamp(-1, 1)


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 3, 5, 9)])
def test_it_computes_what_the_layers_say(shape: tuple[int, ...], tmp_path: Path) -> None:
    network = image_network(*written(tmp_path), "net", "enlarged", 2)
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    (found,) = open_session(network.SerializeToString(), 1).run(["enlarged"], {"image": image.numpy()})
    wanted = by_hand(image)
    assert float(wanted.std()) > 0.1
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


def test_equal_files_give_equal_bytes(tmp_path: Path) -> None:
    made = [image_network(*written(tmp_path), "net", "enlarged", 2) for _ in range(2)]
    assert made[0].SerializeToString(deterministic=True) == made[1].SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"layers": LAYERS.replace("Interp ", "Pooling")}, r"twice: a layer 'Pooling'"),
        ({"layers": LAYERS.replace("9=2", "9=4")}, r"first: an activation"),
        ({"layers": LAYERS.replace("f g 0=1", "f g 0=2")}, r"twice: other than the nearest pixel"),
        ({"layers": LAYERS.replace("e 0=1", "e 0=2")}, r"mixed: other than the sum"),
        ({"layers": LAYERS.replace("a2 f", "a2 f 0=2")}, r"sum: other than a sum"),
        ({"mark": 0}, r"first\.weight are not of 16 bits"),
        ({"more": b"\0" * 4}, r"net\.bin: 4 bytes that belong to no layer"),
    ],
)
def test_what_is_not_known_is_refused(changed: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        image_network(*written(tmp_path, **changed), "net", "enlarged", 2)
