"""How near a reconstruction comes to the truth, per image.

Images cross this boundary as float [N, 3, H, W] in [-1, 1] and are measured as uint8, as they would be saved and seen.
Masks are [N, 1, H, W], 1 = hole. A figure is always of a composite: outside the hole it is the photograph itself.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

DATA_RANGE = 255


def channels_first(images: NDArray[np.uint8]) -> Tensor:
    """Images uint8 [N, H, W, 3] as a tensor uint8 [N, 3, H, W] of its own memory."""
    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy())


def from_uint8(images: NDArray[np.uint8]) -> Tensor:
    """Images uint8 [N, H, W, 3] as networks see them: float32 [N, 3, H, W] in [-1, 1]."""
    return channels_first(images).float() / (DATA_RANGE / 2) - 1


def to_uint8(images: Tensor) -> Tensor:
    """Images in [-1, 1] of any shape as uint8 0..255, rounded to the nearest; what lies outside is clamped.

    Raises ValueError for a NaN or an infinity, which have no colour.
    """
    if not torch.isfinite(images).all():
        raise ValueError("an image holds values that are not finite")
    return ((images.clamp(-1, 1) + 1) * (DATA_RANGE / 2)).round().to(torch.uint8)


def whole_psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB over all pixels, float64 [N], of two uint8 images [N, 3, H, W].

    The data range is 255; equal images give infinity.
    """
    return _psnr(_squared_error(a, b).mean(dim=(1, 2, 3)))


def hole_psnr(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB over the hole's pixels only, float64 [N], of two uint8 images [N, 3, H, W].

    ``mask`` [N, 1, H, W], 1 = hole. Images equal in the hole give infinity. An image without a hole has no such figure:
    ValueError.
    """
    holes = _holes(mask, a)
    count = holes.sum(dim=(1, 2, 3)) * a.shape[1]
    if (count == 0).any():
        empty = torch.nonzero(count == 0).flatten().tolist()
        raise ValueError(f"no hole in the mask of image {', '.join(map(str, empty))}: hole PSNR is not defined")
    return _psnr((_squared_error(a, b) * holes).sum(dim=(1, 2, 3)) / count)


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity, float64 [N] in [-1, 1], of two uint8 images [N, 3, H, W], at least 11 pixels a side.

    Wang et al. 2004: a Gaussian window of 11 pixels (sigma 1.5), data range 255, on RGB, averaged over the channels and
    the pixels whose window lies inside the image; covariances are those of the window, not of a sample.
    """
    _check_pair(a, b)
    if min(a.shape[2:]) < 11:
        raise ValueError(f"structural similarity needs 11 pixels a side, not {tuple(a.shape[2:])}")
    x, y = a.double(), b.double()
    mean_x, mean_y, square_x, square_y, product = (_window_mean(image) for image in (x, y, x * x, y * y, x * y))
    variances = square_x - mean_x.square() + square_y - mean_y.square()
    covariance = product - mean_x * mean_y
    c1, c2 = (0.01 * DATA_RANGE) ** 2, (0.03 * DATA_RANGE) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    return (luminance * (2 * covariance + c2) / (variances + c2)).mean(dim=(1, 2, 3))


def _window_mean(images: Tensor) -> Tensor:
    """The Gaussian-weighted mean [N, C, H - 10, W - 10] in each window of 11 pixels (sigma 1.5) inside the images.

    Rows, then columns, as sums of shifted images: in float64 many times faster than a convolution.
    """
    gaussian = torch.exp(-torch.arange(-5, 6, dtype=torch.float64).square() / (2 * 1.5**2))
    weights = (gaussian / gaussian.sum()).tolist()
    for dim in (2, 3):
        inside = images.shape[dim] - 10
        shifted = (weight * images.narrow(dim, place, inside) for place, weight in enumerate(weights))
        images = sum(shifted, torch.zeros((), dtype=images.dtype, device=images.device))
    return images


def _check_pair(a: Tensor, b: Tensor) -> None:
    if a.dtype != torch.uint8 or b.dtype != torch.uint8:
        raise ValueError(f"images are measured as uint8, not as {a.dtype} and {b.dtype}: use to_uint8")
    if a.ndim != 4 or a.shape != b.shape:
        raise ValueError(f"two images [N, 3, H, W] of one shape are needed, not {tuple(a.shape)} and {tuple(b.shape)}")


def _holes(mask: Tensor, image: Tensor) -> Tensor:
    """The mask as bool [N, 1, H, W], True = hole, checked against ``image`` [N, C, H, W]."""
    if tuple(mask.shape) != (image.shape[0], 1, *image.shape[2:]):
        raise ValueError(f"mask {tuple(mask.shape)} does not fit images {tuple(image.shape)}: [N, 1, H, W] is needed")
    holes = mask == 1
    if not (holes | (mask == 0)).all():
        raise ValueError("a mask holds 0 (known) and 1 (hole) only")
    return holes


def _squared_error(a: Tensor, b: Tensor) -> Tensor:
    _check_pair(a, b)
    # as wide integers first: the difference of two uint8 would wrap around
    return (a.int() - b.int()).double().square()


def _psnr(mean_squared_error: Tensor) -> Tensor:
    return 10 * torch.log10(DATA_RANGE**2 / mean_squared_error)
