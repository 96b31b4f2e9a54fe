"""The prior of aligned faces: probabilistic PCA fitted to faces, and its posterior mean in their holes."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from facerecon.models.layers.face_prior import (
    COLOUR_SHARE,
    CORRECTION_LEVELS,
    FacePrior,
    ProbabilisticPCA,
    _to_opponent,
    _to_rgb,
    _upsample,
)
from facerecon.models.layers.first_fill import first_fill

GRID = 8


def alike(count: int, seed: int = 0) -> Tensor:
    """Faces [count, 3, 16, 16] of four smooth components."""
    components = torch.randn((4, 3, 4, 4), generator=torch.Generator().manual_seed(7)) * 0.15
    latents = torch.randn((count, 4), generator=torch.Generator().manual_seed(seed))
    coarse = torch.einsum("nk,kchw->nchw", latents, components) + torch.linspace(-0.3, 0.3, 4)[:, None]
    return torch.nn.functional.interpolate(coarse, size=(16, 16), mode="bilinear").clamp(-1, 1)


def fitted(faces: Tensor, components: int = 20, iterations: int = 20, grid: int = GRID) -> FacePrior:
    prior = FacePrior(grid, components, iterations)
    prior.fit(faces.split(50))
    return prior


def hidden(images: Tensor, mask: Tensor) -> Tensor:
    return torch.cat((torch.where(mask > 0.5, 0.0, images), mask), dim=1)


def half_hidden(images: Tensor) -> Tensor:
    mask = torch.zeros(len(images), 1, *images.shape[2:])
    mask[..., : images.shape[3] // 2] = 1
    return mask


def test_it_fills_better_than_a_smooth_fill() -> None:
    prior, others = fitted(alike(400)), alike(50, seed=1)
    mask = half_hidden(others)
    errors = [
        float((filled - others).abs().mean())
        for filled in (prior(hidden(others, mask)), first_fill(hidden(others, mask)))
    ]
    assert errors[0] < 0.25 * errors[1]


def test_its_fill_is_the_posterior_mean_of_its_gaussians() -> None:
    prior, others = fitted(alike(400), iterations=60), alike(5, seed=1)[..., ::2, ::2]
    known = 1 - half_hidden(others)
    images = _to_opponent(others)
    mean = prior._posterior_mean(images * known, known)
    for pca, channels in ((prior.brightness, slice(1)), (prior.colour, slice(1, 3))):
        cells, share = pca.downsample(images[:, channels]), pca.downsample(known)
        exact = torch.stack([posterior_mean(pca, *each) for each in zip(cells, share, strict=True)])
        torch.testing.assert_close(mean[:, channels], _upsample(exact, *others.shape[2:]), atol=2e-3, rtol=0)


def test_its_noise_is_the_residual_variance_weighted_by_itself() -> None:
    faces = varied(300)
    prior = fitted(faces, components=6)
    for pca, channels in ((prior.brightness, slice(1)), (prior.colour, slice(1, 3))):
        cells = pca.downsample(_to_opponent(torch.cat((faces, faces.flip(3))).double())[:, channels]).flatten(1)
        components = torch.cat((loadings(pca), cells.new_zeros((1, cells.shape[1])))).double()
        residual = cells - cells.mean(0)
        residual = residual - residual @ torch.linalg.pinv(components) @ components
        covariance = residual.T @ residual / len(residual)
        expected = covariance.square().sum() / covariance.trace()
        torch.testing.assert_close(pca.noise.double(), expected, rtol=0.01, atol=0)


def test_of_few_faces_more_or_less_noise_would_fill_worse() -> None:
    prior, others = fitted(varied(80)), varied(200, seed=1)
    inputs = hidden(others, half_hidden(others))
    errors = []
    for factor in (1, 0.2, 5):
        other = copy.deepcopy(prior)
        for pca in (other.brightness, other.colour):
            pca.noise *= factor
        errors.append(float((other(inputs) - others).square().mean()))
    assert errors[0] < errors[1] * 0.95
    assert errors[0] < errors[2] * 0.99


def varied(count: int, seed: int = 0) -> Tensor:
    """Faces [count, 3, 16, 16] of many components, whose variance falls with their frequency."""
    values = torch.randn((count, 3, 16, 16), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rows, columns = torch.fft.fftfreq(16)[:, None], torch.fft.fftfreq(16)
    smooth = torch.fft.fft2(values) / (1 + 100 * (rows**2 + columns**2))
    return 0.5 * torch.fft.ifft2(smooth).real.float()


def loadings(pca: ProbabilisticPCA) -> Tensor:
    """W^T [K, values of a face]: the components that are not 0."""
    even, odd = pca.even.T, pca.odd.T
    rows = pca.from_symmetric_parts(torch.cat((even, 0 * odd)), torch.cat((0 * even, odd))).flatten(1)
    return rows[rows.abs().amax(1) > 0]


def posterior_mean(pca: ProbabilisticPCA, cells: Tensor, share: Tensor) -> Tensor:
    """Of a Gaussian, given the cells [C, grid, grid] whose known share [1, grid, grid] is not 0, by a direct solver."""
    rows = loadings(pca).double()
    covariance = rows.T @ rows
    known = share.expand_as(cells).flatten() > 0.5
    deviation = (cells - pca.mean).flatten().double()[known]
    marginal = covariance[known][:, known] + pca.noise * torch.eye(int(known.sum()))
    return pca.mean + (covariance[:, known] @ torch.linalg.solve(marginal, deviation)).float().view_as(cells)


def test_the_rotation_of_colours_loses_nothing() -> None:
    images = alike(3)
    torch.testing.assert_close(_to_rgb(_to_opponent(images)), images, atol=1e-6, rtol=0)
    grey = torch.full((1, 3, 2, 2), 0.5)
    assert float(_to_opponent(grey)[:, 1:].abs().max()) < 1e-7, "grey has no colour"


@given(cells=st.integers(1, 12), height=st.integers(1, 40), width=st.integers(1, 40))
def test_upsampling_to_the_same_size_is_the_identity_and_a_constant_stays_constant(
    cells: int, height: int, width: int
) -> None:
    values = torch.randn((2, 3, cells, cells), generator=torch.Generator().manual_seed(cells))
    torch.testing.assert_close(_upsample(values, cells, cells), values)
    constant = torch.full((1, 1, cells, cells), 0.3)
    torch.testing.assert_close(_upsample(constant, height, width), torch.full((1, 1, height, width), 0.3))


def test_a_slope_is_upsampled_to_a_slope() -> None:
    slope = torch.arange(8.0).expand(1, 1, 8, 8)
    upsampled = _upsample(slope, 8, 32)[0, 0, 0]
    torch.testing.assert_close(upsampled[8:24], (torch.arange(8, 24) + 0.5) / 4 - 0.5)


def test_before_it_is_fitted_it_is_the_smooth_fill() -> None:
    images = alike(3)
    inputs = hidden(images, half_hidden(images))
    assert torch.equal(FacePrior(GRID, 8, 20)(inputs), first_fill(inputs, CORRECTION_LEVELS))
    empty = FacePrior(GRID, 8, 20)
    empty.fit(iter(()))
    assert torch.equal(empty(inputs), first_fill(inputs, CORRECTION_LEVELS))


@given(
    seed=st.integers(0, 2**31),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    share=st.floats(0, 1),
    big=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_known_pixels_stay_in_images_of_any_size(seed: int, height: int, width: int, share: float, big: bool) -> None:
    prior = fitted(alike(100))
    rng = torch.Generator().manual_seed(seed)
    images = (torch.rand((2, 3, height, width), generator=rng) * 2 - 1) * (1.0 if big else 1e-3)
    mask = (torch.rand((2, 1, height, width), generator=rng) < share).float()
    filled = prior(hidden(images, mask))
    known = (mask < 0.5).expand_as(images)
    assert torch.equal(filled[known], images[known])
    assert bool(filled.isfinite().all())
    assert float(filled.abs().max()) <= 1


def test_a_mirrored_face_is_filled_with_the_mirror_image() -> None:
    prior, others = fitted(alike(400)), alike(5, seed=1)
    inputs = hidden(others, half_hidden(others))
    torch.testing.assert_close(prior(inputs.flip(3)), prior(inputs).flip(3), atol=1e-4, rtol=0)


def test_a_face_that_is_all_hole_is_filled_with_the_mean_face() -> None:
    faces = alike(200)
    filled = fitted(faces)(hidden(faces[:1], torch.ones(1, 1, 16, 16)))
    mean = (faces + faces.flip(3)).mean(0, keepdim=True) / 2
    assert float((filled - mean).abs().max()) < 0.05


def test_it_does_not_depend_on_how_faces_come_in_batches() -> None:
    faces = alike(120)
    one, two = FacePrior(GRID, 8, 20), FacePrior(GRID, 8, 20)
    one.fit(faces.split(120))
    two.fit(faces.split(7))
    inputs = hidden(faces, half_hidden(faces))
    torch.testing.assert_close(one(inputs), two(inputs), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("count", "components", "rank"), [(1, 8, 1), (5, 8, 1), (40, 8, 5), (400, 8, 8), (400, 5, 5), (400, 1, 1)]
)
def test_few_faces_give_few_components(count: int, components: int, rank: int) -> None:
    noise = torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    prior = fitted(alike(count) + 0.05 * noise, components=components)
    for pca, most in ((prior.brightness, rank), (prior.colour, max(1, round(COLOUR_SHARE * components)))):
        even, odd = (int((loadings.abs().amax(0) > 0).sum()) for loadings in (pca.even, pca.odd))
        # of a few faces most components have less variance than the noise, and become 0
        assert even + odd == min(rank, most) if count >= 40 else even + odd <= min(rank, most)
        assert even - odd in (0, 1), "half of them even, half odd"
    assert bool(prior(hidden(alike(2), half_hidden(alike(2)))).isfinite().all())


def test_faces_that_are_all_the_same_are_filled_in() -> None:
    faces = alike(1).expand(40, -1, -1, -1)
    same = (faces + faces.flip(3)) / 2
    filled = fitted(same)(hidden(same[:1], half_hidden(same[:1])))
    assert float((filled - same[:1]).abs().mean()) < 0.03


def test_rounding_errors_do_not_grow() -> None:
    faces = alike(400) * 3 + 0.02 * torch.randn(400, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    prior = fitted(faces, components=40)
    exact = copy.deepcopy(prior).double()
    inputs = hidden(faces[:20], half_hidden(faces[:20]))
    torch.testing.assert_close(prior(inputs).double(), exact(inputs.double()), atol=1e-4, rtol=0)


def test_it_computes_in_32_bits_under_autocast() -> None:
    prior, others = fitted(alike(400)), alike(5, seed=1)
    inputs = hidden(others, half_hidden(others))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        filled = prior(inputs)
    assert torch.equal(filled, prior(inputs))
