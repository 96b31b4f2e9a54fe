"""LPIPS is the published one, at every size it takes, and its gradient is never NaN."""

from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import nn

from facerecon.errors import FaceReconError
from facerecon.perception.lpips import LPIPS

Backbone = Literal["alex", "vgg"]


@pytest.fixture(scope="module")
def networks() -> dict[str, LPIPS]:
    """Both networks, loaded once."""
    return {"alex": LPIPS("alex"), "vgg": LPIPS("vgg")}


def _images(count: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(scope="module")
def published(networks: dict[str, LPIPS]) -> dict[str, nn.Module]:
    """The ``lpips`` package's own modules with their own heads, and the backbones' weights of ours."""
    package = pytest.importorskip("lpips")
    modules = {}
    for backbone, ours in networks.items():
        theirs = package.LPIPS(net=backbone, pnet_rand=True, pretrained=False, verbose=False)
        heads = Path(package.__file__).parent / "weights" / "v0.1" / f"{backbone}.pth"
        read = theirs.load_state_dict(torch.load(heads, weights_only=True, map_location="cpu"), strict=False)
        assert not read.unexpected_keys
        # `lins` holds the same heads once more
        assert all(key.startswith(("net.", "scaling_layer.", "lins.")) for key in read.missing_keys)
        convs = [m for m in theirs.net.modules() if isinstance(m, nn.Conv2d)]
        for target, source in zip(convs, [m for m in ours.modules() if isinstance(m, nn.Conv2d)], strict=True):
            target.load_state_dict(source.state_dict())
        modules[backbone] = theirs.eval()
    return modules


@pytest.mark.parametrize("backbone", ["alex", "vgg"])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (32, 47), (130, 96)])
def test_it_equals_the_published_one(
    backbone: Backbone, height: int, width: int, networks: dict[str, LPIPS], published: dict[str, nn.Module]
) -> None:
    ours, theirs = networks[backbone], published[backbone]
    a, b = _images(3, height, width), _images(3, height, width, seed=1)
    b[2] = a[2] * 0.9
    with torch.no_grad():
        expected = theirs(a, b).flatten()
        actual = ours(a, b)

    assert actual.shape == (3,)
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-6)
    assert actual[2] < actual[0] / 2


@pytest.mark.parametrize(("backbone", "expected"), [("alex", 0.30386), ("vgg", 0.21143)])
def test_the_weights_are_the_ones_these_distances_came_from(
    backbone: Backbone, expected: float, networks: dict[str, LPIPS]
) -> None:
    # the other tests would pass with any weights; a red disc and a green one tell colours, places and filters apart
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    disc = ((x - 24).square() + (y - 36).square() < 15**2).float() * 2 - 1
    low = torch.full_like(disc, -1)
    red, green = torch.stack([disc, low, low])[None], torch.stack([low, disc, low])[None]

    assert networks[backbone](red, green).item() == pytest.approx(expected, rel=1e-3)
    assert networks[backbone](red, red).item() == 0


def test_features_can_be_computed_once(networks: dict[str, LPIPS]) -> None:
    loss = networks["alex"]
    a, b = _images(4, 64, 64), _images(4, 64, 64, seed=1)
    targets = loss.features(b)

    assert [f.shape[1] for f in targets] == [64, 192, 384, 256, 256]
    torch.testing.assert_close(loss.distance(loss.features(a), targets), loss(a, b))
    one = loss.distance(loss.features(a[1:2]), [f[1:2] for f in targets])
    torch.testing.assert_close(one, loss(a, b)[1:2], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("backbone", ["alex", "vgg"])
def test_it_is_frozen_and_teaches(backbone: Backbone, networks: dict[str, LPIPS]) -> None:
    loss = networks[backbone]
    images, target = _images(2, 32, 32).requires_grad_(), _images(2, 32, 32, seed=1)

    loss(images, target).sum().backward()

    assert not any(p.requires_grad for p in loss.parameters())
    assert images.grad is not None
    assert images.grad.abs().amax() > 0
    step = 0.02 * images.grad / images.grad.norm()
    with torch.no_grad():
        assert (loss(images - step, target) < loss(images, target)).all()


@pytest.mark.parametrize("backbone", ["alex", "vgg"])
def test_the_gradient_of_flat_and_of_equal_images_is_finite(backbone: Backbone, networks: dict[str, LPIPS]) -> None:
    # flat images leave places where every channel is 0, where the published form gives NaN
    images = torch.cat([torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32)]).requires_grad_()

    networks[backbone](images, images.detach().clone()).sum().backward()

    assert images.grad is not None
    assert images.grad.isfinite().all()


def test_an_image_below_the_smallest_size_is_refused(networks: dict[str, LPIPS]) -> None:
    networks["alex"](_images(1, 32, 32), _images(1, 32, 32))
    with pytest.raises(FaceReconError, match="32x32 pixels or more, not 31x64"):
        networks["alex"].features(_images(1, 64, 31))


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(FaceReconError, match="choose alex or vgg"):
        LPIPS("squeeze")  # type: ignore[arg-type]
