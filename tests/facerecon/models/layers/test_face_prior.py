"""The prior of aligned faces: it finds what faces have in common, and fills holes with what to expect."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from facerecon.models.layers.face_prior import (
    COLOUR_SHARE,
    CORRECTED,
    FacePrior,
    Variations,
    _drawn,
    _opponents,
)
from facerecon.models.layers.first_fill import first_fill

GRID = 8


def alike(count: int, seed: int = 0) -> Tensor:
    """Faces [count, 3, 16, 16] that differ in four ways, smooth over the picture."""
    ways = torch.randn((4, 3, 4, 4), generator=torch.Generator().manual_seed(7)) * 0.15
    amounts = torch.randn((count, 4), generator=torch.Generator().manual_seed(seed))
    coarse = torch.einsum("nk,kchw->nchw", amounts, ways) + torch.linspace(-0.3, 0.3, 4)[:, None]
    return torch.nn.functional.interpolate(coarse, size=(16, 16), mode="bilinear").clamp(-1, 1)


def learned(faces: Tensor, components: int = 20, iterations: int = 20, grid: int = GRID) -> FacePrior:
    prior = FacePrior(grid, components, iterations)
    prior.learn(faces.split(50))
    return prior


def hidden(images: Tensor, mask: Tensor) -> Tensor:
    return torch.cat((torch.where(mask > 0.5, 0.0, images), mask), dim=1)


def half_hidden(images: Tensor) -> Tensor:
    mask = torch.zeros(len(images), 1, *images.shape[2:])
    mask[..., : images.shape[3] // 2] = 1
    return mask


def test_it_knows_what_a_smooth_fill_cannot() -> None:
    prior, others = learned(alike(400)), alike(50, seed=1)
    mask = half_hidden(others)
    errors = [
        float((filled - others).abs().mean())
        for filled in (prior(hidden(others, mask)), first_fill(hidden(others, mask)))
    ]
    assert errors[0] < 0.25 * errors[1]


def test_what_it_expects_is_the_mean_of_its_gaussians_given_what_is_seen() -> None:
    prior, others = learned(alike(400), iterations=60), alike(5, seed=1)[..., ::2, ::2]
    known = 1 - half_hidden(others)
    images = _opponents(others)
    expected = prior._expected(images * known, known)
    for gaussian, kind in ((prior.brightness, slice(1)), (prior.colour, slice(1, 3))):
        cells, share = gaussian.averaged(images[:, kind]), gaussian.averaged(known)
        exact = torch.stack([exactly(gaussian, *each) for each in zip(cells, share, strict=True)])
        drawn = _drawn(exact, *others.shape[2:])
        torch.testing.assert_close(expected[:, kind], drawn, atol=2e-3, rtol=0)


def test_its_noise_is_the_variance_of_what_is_left_in_the_ways_that_this_goes() -> None:
    faces = varied(300)
    prior = learned(faces, components=6)
    for gaussian, kind in ((prior.brightness, slice(1)), (prior.colour, slice(1, 3))):
        cells = gaussian.averaged(_opponents(torch.cat((faces, faces.flip(3))).double())[:, kind]).flatten(1)
        kept = torch.cat((both_sides(gaussian), cells.new_zeros((1, cells.shape[1])))).double()
        left = cells - cells.mean(0)
        left = left - left @ torch.linalg.pinv(kept) @ kept
        covariance = left.T @ left / len(left)
        expected = covariance.square().sum() / covariance.trace()
        torch.testing.assert_close(gaussian.noise.double(), expected, rtol=0.01, atol=0)


def test_of_few_faces_it_is_as_sure_as_it_may_be() -> None:
    prior, others = learned(varied(80)), varied(200, seed=1)
    inputs = hidden(others, half_hidden(others))
    errors = []
    for factor in (1, 0.2, 5):
        other = copy.deepcopy(prior)
        for gaussian in (other.brightness, other.colour):
            gaussian.noise *= factor
        errors.append(float((other(inputs) - others).square().mean()))
    assert errors[0] < errors[1] * 0.95
    assert errors[0] < errors[2] * 0.99


def varied(count: int, seed: int = 0) -> Tensor:
    """Faces [count, 3, 16, 16] that differ in many ways, each less than the one before, smooth over the picture."""
    values = torch.randn((count, 3, 16, 16), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rows, columns = torch.fft.fftfreq(16)[:, None], torch.fft.fftfreq(16)
    smooth = torch.fft.fft2(values) / (1 + 100 * (rows**2 + columns**2))
    return 0.5 * torch.fft.ifft2(smooth).real.float()


def both_sides(gaussian: Variations) -> Tensor:
    """The variations that are kept [K, places]."""
    even, odd = gaussian.even.T, gaussian.odd.T
    ways = gaussian.whole(torch.cat((even, 0 * odd)), torch.cat((0 * even, odd))).flatten(1)
    return ways[ways.abs().amax(1) > 0]


def exactly(gaussian: Variations, cells: Tensor, share: Tensor) -> Tensor:
    """The mean of a Gaussian given those cells [C, grid, grid] whose share [1, grid, grid] is not 0, solved in one."""
    ways = both_sides(gaussian).double()
    covariance = ways.T @ ways
    seen = share.expand_as(cells).flatten() > 0.5
    missed = (cells - gaussian.mean).flatten().double()[seen]
    among = covariance[seen][:, seen] + gaussian.noise * torch.eye(int(seen.sum()))
    return gaussian.mean + (covariance[:, seen] @ torch.linalg.solve(among, missed)).float().view_as(cells)


def test_the_rotation_of_colours_loses_nothing() -> None:
    images = alike(3)
    torch.testing.assert_close(_opponents(_opponents(images), back=True), images, atol=1e-6, rtol=0)
    grey = torch.full((1, 3, 2, 2), 0.5)
    assert float(_opponents(grey)[:, 1:].abs().max()) < 1e-7, "grey has no colour"


@given(cells=st.integers(1, 12), height=st.integers(1, 40), width=st.integers(1, 40))
def test_cells_are_drawn_as_they_are_at_their_own_size_and_even_ones_even_at_any(
    cells: int, height: int, width: int
) -> None:
    values = torch.randn((2, 3, cells, cells), generator=torch.Generator().manual_seed(cells))
    torch.testing.assert_close(_drawn(values, cells, cells), values)
    even = torch.full((1, 1, cells, cells), 0.3)
    torch.testing.assert_close(_drawn(even, height, width), torch.full((1, 1, height, width), 0.3))


def test_a_slope_is_drawn_as_a_slope() -> None:
    slope = torch.arange(8.0).expand(1, 1, 8, 8)
    drawn = _drawn(slope, 8, 32)[0, 0, 0]
    torch.testing.assert_close(drawn[8:24], (torch.arange(8, 24) + 0.5) / 4 - 0.5)


def test_before_it_has_learned_it_is_the_smooth_fill() -> None:
    images = alike(3)
    inputs = hidden(images, half_hidden(images))
    assert torch.equal(FacePrior(GRID, 8, 20)(inputs), first_fill(inputs, CORRECTED))
    empty = FacePrior(GRID, 8, 20)
    empty.learn(iter(()))
    assert torch.equal(empty(inputs), first_fill(inputs, CORRECTED))


@given(
    seed=st.integers(0, 2**31),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    share=st.floats(0, 1),
    big=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_known_pixels_stay_in_images_of_any_size(seed: int, height: int, width: int, share: float, big: bool) -> None:
    prior = learned(alike(100))
    rng = torch.Generator().manual_seed(seed)
    images = (torch.rand((2, 3, height, width), generator=rng) * 2 - 1) * (1.0 if big else 1e-3)
    mask = (torch.rand((2, 1, height, width), generator=rng) < share).float()
    filled = prior(hidden(images, mask))
    known = (mask < 0.5).expand_as(images)
    assert torch.equal(filled[known], images[known])
    assert bool(filled.isfinite().all())
    assert float(filled.abs().max()) <= 1


def test_a_mirrored_face_is_filled_with_the_mirror_image() -> None:
    prior, others = learned(alike(400)), alike(5, seed=1)
    inputs = hidden(others, half_hidden(others))
    torch.testing.assert_close(prior(inputs.flip(3)), prior(inputs).flip(3), atol=1e-4, rtol=0)


def test_of_a_face_that_is_all_hole_it_expects_the_mean_face() -> None:
    faces = alike(200)
    filled = learned(faces)(hidden(faces[:1], torch.ones(1, 1, 16, 16)))
    mean = (faces + faces.flip(3)).mean(0, keepdim=True) / 2
    assert float((filled - mean).abs().max()) < 0.05


def test_it_does_not_depend_on_how_faces_come_in_batches() -> None:
    faces = alike(120)
    one, two = FacePrior(GRID, 8, 20), FacePrior(GRID, 8, 20)
    one.learn(faces.split(120))
    two.learn(faces.split(7))
    inputs = hidden(faces, half_hidden(faces))
    torch.testing.assert_close(one(inputs), two(inputs), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("count", "asked", "kept"), [(1, 8, 1), (5, 8, 1), (40, 8, 5), (400, 8, 8), (400, 5, 5), (400, 1, 1)]
)
def test_few_faces_give_few_variations(count: int, asked: int, kept: int) -> None:
    noise = torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    prior = learned(alike(count) + 0.05 * noise, components=asked)
    for gaussian, most in ((prior.brightness, kept), (prior.colour, max(1, round(COLOUR_SHARE * asked)))):
        even, odd = (int((kind.abs().amax(0) > 0).sum()) for kind in (gaussian.even, gaussian.odd))
        # of a few faces most variations are weaker than the noise, and nothing is left of them
        assert even + odd == min(kept, most) if count >= 40 else even + odd <= min(kept, most)
        assert even - odd in (0, 1), "the even ones and as many odd ones"
    assert bool(prior(hidden(alike(2), half_hidden(alike(2)))).isfinite().all())


def test_faces_that_are_all_the_same_are_filled_in() -> None:
    faces = alike(1).expand(40, -1, -1, -1)
    same = (faces + faces.flip(3)) / 2
    filled = learned(same)(hidden(same[:1], half_hidden(same[:1])))
    assert float((filled - same[:1]).abs().mean()) < 0.03


def test_rounding_does_not_grow_in_it() -> None:
    faces = alike(400) * 3 + 0.02 * torch.randn(400, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    prior = learned(faces, components=40)
    exact = copy.deepcopy(prior).double()
    inputs = hidden(faces[:20], half_hidden(faces[:20]))
    torch.testing.assert_close(prior(inputs).double(), exact(inputs.double()), atol=1e-4, rtol=0)


def test_where_a_computation_is_in_16_bits_it_is_not() -> None:
    prior, others = learned(alike(400)), alike(5, seed=1)
    inputs = hidden(others, half_hidden(others))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        filled = prior(inputs)
    assert torch.equal(filled, prior(inputs))
