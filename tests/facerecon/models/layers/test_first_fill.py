"""The first fill: known pixels stay, holes take what is known around them."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from facerecon.models.layers.first_fill import first_fill


def inputs(image: Tensor, mask: Tensor) -> Tensor:
    return torch.cat((torch.where(mask > 0.5, 0.0, image), mask), dim=1)


@given(seed=st.integers(0, 2**31), height=st.integers(1, 70), width=st.integers(1, 70), share=st.floats(0, 1))
@settings(deadline=None, max_examples=40)
def test_known_pixels_stay_and_holes_lie_between_what_is_known(
    seed: int, height: int, width: int, share: float
) -> None:
    rng = torch.Generator().manual_seed(seed)
    image = torch.rand((2, 3, height, width), generator=rng) * 2 - 1
    mask = (torch.rand((2, 1, height, width), generator=rng) < share).float()
    filled = first_fill(inputs(image, mask))
    known = (mask < 0.5).expand_as(image)
    assert torch.equal(filled[known], image[known])
    for one, seen, hole in zip(filled, image, mask, strict=True):
        if (hole < 0.5).any():
            values = seen[:, hole[0] < 0.5]
            low, high = values.amin(1)[:, None, None], values.amax(1)[:, None, None]
            assert bool(((one >= low - 1e-5) & (one <= high + 1e-5)).all())


def test_one_colour_is_continued_into_any_hole() -> None:
    image = torch.tensor([0.5, -0.25, 0.75])[None, :, None, None].expand(1, 3, 64, 64)
    mask = torch.ones(1, 1, 64, 64)
    mask[..., 3, 5] = 0
    torch.testing.assert_close(first_fill(inputs(image, mask)), image)


def test_a_slope_goes_on_through_a_hole() -> None:
    image = torch.linspace(-1, 1, 64).expand(1, 3, 64, 64)
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 20:44, 20:44] = 1
    filled = first_fill(inputs(image, mask))
    error = (filled - image).abs()[..., 20:44, 20:44].mean()
    assert error < 0.25 * image[..., 20:44].abs().mean()


def test_what_is_all_hole_is_black_between_white_and_black() -> None:
    assert torch.equal(first_fill(inputs(torch.ones(1, 3, 8, 8), torch.ones(1, 1, 8, 8))), torch.zeros(1, 3, 8, 8))


def test_a_large_hole_takes_what_is_nearest() -> None:
    image = torch.where(torch.arange(256) < 128, -1.0, 1.0).expand(1, 3, 256, 256)
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., 64:192, 0:96] = 1
    filled = first_fill(inputs(image, mask))[..., 64:192, 0:96]
    assert float(filled.mean()) < -0.7
    assert float(filled.max()) < 0.5
