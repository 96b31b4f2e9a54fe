"""Bringing a face to the place where a network expects it, differentiably."""

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_SAMPLES = 8
"""The most samples taken along each side of a crop's pixel; faces beyond 8.5 times the crop's size alias."""


def similarity(points: Tensor, template: Tensor) -> Tensor:
    """The rotation, scale and shift [N, 2, 3] that bring ``points`` closest to ``template``, without reflection.

    ``points`` [N, K, 2] in pixels of the image, ``template`` [K, 2] in pixels of the crop. The least squares solution
    (Umeyama, 1991) in closed form: as complex numbers both sets centred, the factor is sum(p* t) / sum(|p|²).
    Points that all coincide have no solution: the result is not finite.
    """
    centre, target = points.mean(1, keepdim=True), template.mean(0)
    p, t = points - centre, template - target
    energy = p.square().sum((1, 2))
    real = (p * t).sum((1, 2)) / energy
    imaginary = (p[..., 0] * t[:, 1] - p[..., 1] * t[:, 0]).sum(1) / energy
    linear = torch.stack([torch.stack([real, -imaginary], -1), torch.stack([imaginary, real], -1)], -2)
    shift = target[:, None] - linear @ centre.mT
    return torch.cat([linear, shift], -1)


def warp(images: Tensor, points: Tensor, template: Tensor, size: int) -> Tensor:
    """The faces [N, 3, size, size], with ``points`` brought to ``template``; differentiable by ``images``.

    ``images`` [N, 3, H, W] in [-1, 1]; ``points`` [N, K, 2] in pixels of the image and ``template`` [K, 2] in pixels
    of the crop, (0, 0) being the corner of each. Bilinear, black outside the image, as ``cv2.warpAffine`` does; a face
    that is k times larger than the crop (k rounded) is sampled at k x k places in each pixel and averaged, so that it
    does not alias. k is each face's own: a result does not depend on the others in the batch.
    """
    # the grid is laid out in float32 under autocast too: half precision cannot tell neighbouring pixels
    with torch.autocast(images.device.type, enabled=False):
        images, points = images.float(), points.float()
        forward = similarity(points, template.to(points))
        inverse = torch.linalg.inv(forward[:, :, :2])
        back = torch.cat([inverse, -inverse @ forward[:, :, 2:]], -1)
        enlargement = torch.linalg.det(inverse).clamp_min(0).sqrt()
        samples = enlargement.round().clamp(1, MOST_SAMPLES)
        crops = images.new_zeros(len(images), images.shape[1], size, size)
        for count in samples.unique().tolist():
            chosen = (samples == count).nonzero().flatten()
            crops = crops.index_copy(0, chosen, _sample(images[chosen], back[chosen], size, int(count)))
        return crops


def _sample(images: Tensor, back: Tensor, size: int, count: int) -> Tensor:
    """Crops of ``size``; ``back`` [N, 2, 3] leads from crop to image pixels; ``count``² samples in each pixel."""
    height, width = images.shape[-2:]
    # normalised coordinates run from -1 to 1 between the outer edges: align_corners=False
    to_crop = back.new_tensor([[size / 2, 0, size / 2], [0, size / 2, size / 2], [0, 0, 1]])
    extent = back.new_tensor([width, height])
    theta = (back @ to_crop) * (2 / extent)[:, None]
    theta = torch.cat([theta[:, :, :2], theta[:, :, 2:] - 1], -1)
    grid = F.affine_grid(theta, [len(images), images.shape[1], size * count, size * count], align_corners=False)
    # beyond the image lie zeros: moved by one, these are black
    crops = F.grid_sample(images + 1, grid, mode="bilinear", padding_mode="zeros", align_corners=False) - 1
    return F.avg_pool2d(crops, count) if count > 1 else crops
