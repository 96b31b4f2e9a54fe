"""A discriminator at two scales: what its branches see, and what they normalise over."""

import pytest
import torch
from torch import nn

from facerecon.models.layers.discriminator import WIDEST, Discriminator, DiscriminatorNorm


@pytest.mark.parametrize("size", [16, 24, 64, 100, 512])
def test_a_logit_for_the_whole_and_a_map_for_the_patches(size: int) -> None:
    verdicts = Discriminator(size, 8, "batch", "instance")(torch.zeros(2, 3, size, size))
    assert verdicts.whole.shape == (2, 1)
    assert verdicts.patch.shape == (2, 1, size // 4 - 1, size // 4 - 1)


@pytest.mark.parametrize(("depth", "field"), [(2, 22), (3, 46)])
def test_a_logit_of_the_map_sees_its_patch(depth: int, field: int) -> None:
    torch.manual_seed(0)
    image = torch.randn(1, 3, 128, 128, requires_grad=True)
    logits = Discriminator(128, 8, "none", "none", depth)(image).patch
    middle = logits.shape[-1] // 2
    (seen,) = torch.autograd.grad(logits[0, 0, middle, middle], image)
    rows = seen.abs().sum(dim=(0, 1, 3)).nonzero().flatten()
    assert rows[-1] - rows[0] + 1 == field


def test_the_whole_is_seen_from_corner_to_corner() -> None:
    torch.manual_seed(0)
    image = torch.randn(1, 3, 64, 64, requires_grad=True)
    (seen,) = torch.autograd.grad(Discriminator(64, 8, "none", "none")(image).whole.sum(), image)
    assert bool((seen != 0).all())


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("branch", ["whole", "patch"])
def test_only_batch_normalisation_lets_other_images_matter(branch: str, norm: DiscriminatorNorm) -> None:
    torch.manual_seed(0)
    network = Discriminator(32, 8, norm if branch == "whole" else "none", norm if branch == "patch" else "none")
    images = torch.randn(4, 3, 32, 32)
    among, alone = (getattr(network(seen), branch)[:2] for seen in (images, images[:2]))
    assert torch.allclose(among, alone, atol=1e-5) == (norm != "batch")


def test_no_layer_is_wider_than_the_widest() -> None:
    widths = [
        layer.out_channels for layer in Discriminator(512, 8, "none", "none").whole if isinstance(layer, nn.Conv2d)
    ]
    assert widths == [8, 16, 32, 64, 64, 64, 64]
    assert max(widths) == 8 * WIDEST
