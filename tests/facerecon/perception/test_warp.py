"""The warp puts faces where cv2 puts them, without aliasing, and each by itself."""

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from facerecon.perception.warp import similarity, warp

SIZE = 112
TEMPLATE = torch.tensor([[38.8, 52.2], [74.0, 52.0], [56.5, 72.2], [42.0, 92.9], [71.2, 92.7]])


def _placed(angle: float, enlargement: float, shift: tuple[float, float]) -> torch.Tensor:
    """The template turned by ``angle`` degrees about its centre, enlarged and moved: points [5, 2] in an image."""
    a = np.deg2rad(angle)
    turn = torch.tensor([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]], dtype=torch.float32)
    return (TEMPLATE - 56) @ turn.T * enlargement + torch.tensor(shift)


def _smooth_image(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def _tensor(image: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1).float()[None] / 127.5 - 1


def _cv2_warp(image: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same by cv2: pixel centres at integers there, at halves here."""
    shifted = matrix.astype(np.float64).copy()
    shifted[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
    return cv2.warpAffine(image.astype(np.float32), shifted, (SIZE, SIZE), flags=cv2.INTER_LINEAR).astype(np.float64)


def test_the_similarity_is_umeyamas() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.stack([_placed(a, s, (90, 80)) for a, s in ((0, 1), (25, 0.5), (-100, 2.3))])
    points += torch.randn(points.shape, generator=generator) * 2

    actual = similarity(points, TEMPLATE).numpy()

    for matrix, source in zip(actual, points.numpy().astype(np.float64), strict=True):
        # Umeyama's own way, through the singular value decomposition
        target = TEMPLATE.numpy().astype(np.float64)
        p, t = source - source.mean(0), target - target.mean(0)
        u, d, vt = np.linalg.svd(t.T @ p)
        sign = np.array([1, np.sign(np.linalg.det(u @ vt))])
        linear = (u * sign) @ vt * (d * sign).sum() / np.square(p).sum()
        np.testing.assert_allclose(matrix[:, :2], linear, atol=1e-5)
        np.testing.assert_allclose(matrix[:, 2], target.mean(0) - linear @ source.mean(0), atol=1e-3)


@pytest.mark.parametrize("angle", [0, 17, -60])
@pytest.mark.parametrize("enlargement", [0.4, 1.0, 1.4])
@pytest.mark.parametrize(("height", "width"), [(160, 160), (120, 200)])
def test_it_agrees_with_cv2(angle: float, enlargement: float, height: int, width: int) -> None:
    image = _smooth_image(height, width)
    # some of it reaches beyond the image
    points = _placed(angle, enlargement, (width * 0.45, height * 0.55))[None]

    crop = warp(_tensor(image), points, TEMPLATE, SIZE)[0].permute(1, 2, 0).numpy() * 127.5 + 127.5

    expected = _cv2_warp(image, similarity(points, TEMPLATE)[0].numpy())
    difference = np.abs(crop - expected)
    # cv2 rounds positions to 1/32 pixel; at the border of the image a position may fall on either side
    assert difference.mean() < 0.4
    assert np.quantile(difference, 0.995) < 4
    # half a pixel of misplacement would be seen
    moved = _cv2_warp(image, similarity(points + 0.5, TEMPLATE)[0].numpy())
    assert np.abs(crop - moved).mean() > 2 * difference.mean()


def test_points_that_match_the_template_leave_the_image_as_it_is() -> None:
    image = _tensor(_smooth_image(SIZE, SIZE))
    crop = warp(image, TEMPLATE[None], TEMPLATE, SIZE)
    torch.testing.assert_close(crop, image, atol=1e-3, rtol=0)


def test_outside_the_image_is_black() -> None:
    crop = warp(torch.ones(1, 3, 40, 40), _placed(0, 1, (20, 20))[None], TEMPLATE, SIZE)
    assert crop[0, :, 56, 56].tolist() == [1, 1, 1]
    assert crop[0, :, 5, 5].tolist() == [-1, -1, -1]


@pytest.mark.parametrize("enlargement", [2, 3, 6])
def test_a_large_face_does_not_alias(enlargement: int) -> None:
    # stripes of one pixel average to gray; picking single pixels would show them
    side = SIZE * enlargement
    stripes = torch.ones(1, 3, side, side)
    stripes[..., ::2] = -1
    points = _placed(0, enlargement, (side / 2 + 0.3, side / 2))[None]

    inner = warp(stripes, points, TEMPLATE, SIZE)[..., 8:-8, 8:-8]

    assert inner.abs().amax() < 0.45
    assert inner.mean().abs() < 0.02


@pytest.mark.parametrize("enlargement", [2, 3, 4])
def test_a_large_face_is_the_mean_over_each_pixel(enlargement: int) -> None:
    side = SIZE * enlargement
    image = _tensor(_smooth_image(side, side))
    points = (TEMPLATE * enlargement)[None]

    crop = warp(image, points, TEMPLATE, SIZE)

    torch.testing.assert_close(crop, torch.nn.functional.avg_pool2d(image, enlargement), atol=2e-3, rtol=0)


def test_a_result_does_not_depend_on_the_batch() -> None:
    images = torch.cat([_tensor(_smooth_image(400, 400, seed)) for seed in range(3)])
    points = torch.stack([_placed(10, 3.2, (200, 200)), _placed(-5, 0.8, (150, 220)), _placed(0, 1.7, (210, 190))])

    together = warp(images, points, TEMPLATE, SIZE)

    for index in range(3):
        alone = warp(images[index : index + 1], points[index : index + 1], TEMPLATE, SIZE)
        torch.testing.assert_close(together[index : index + 1], alone, atol=1e-6, rtol=0)


def test_its_gradient_is_that_of_finite_differences() -> None:
    images = torch.randn(2, 1, 12, 12, generator=torch.Generator().manual_seed(0)).requires_grad_()
    template = TEMPLATE / 16
    points = torch.stack([template * 1.5 + 1, template * 2.6 - 3])
    weights = torch.randn(2, 1, 7, 7, generator=torch.Generator().manual_seed(1))

    (warp(images, points, template, 7) * weights).sum().backward()

    assert images.grad is not None
    direction = torch.randn(images.shape, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        # the warp is linear by the image, so that the difference is exact at any step
        ahead, behind = (warp(images + s * direction, points, template, 7) for s in (1, -1))
    expected = ((ahead - behind) * weights).sum() / 2
    torch.testing.assert_close((images.grad * direction).sum(), expected, atol=1e-4, rtol=1e-4)
