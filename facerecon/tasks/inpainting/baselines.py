"""Reconstructions without a network: what a model must beat.

Every baseline takes images uint8 [N, H, W, 3] and masks [N, H, W] of 0 and 1 (1 = hole) and returns images of the same
shape. Known pixels come back unchanged. The hole's pixels are blanked before a method sees them, so none can peek.
A new baseline is one function on one image with ``@register_baseline``.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from facerecon.evaluation.metrics import channels_first
from facerecon.tasks.inpainting.evaluator import Fill, Filled

Images = NDArray[np.uint8]
P = ParamSpec("P")

BASELINES: dict[str, Callable[..., Images]] = {}
"""Every baseline by name: ``BASELINES[name](images, masks)``."""


def register_baseline(
    fill: Callable[Concatenate[Images, Images, P], Images],
) -> Callable[Concatenate[Images, NDArray[Any], P], Images]:
    """Register a function of one blanked image [H, W, 3] and its mask uint8 [H, W] (1 = hole) under its own name.

    What is registered and returned takes batches, checks them (ValueError), blanks holes and keeps known pixels.
    """

    @wraps(fill)
    def baseline(images: Images, masks: NDArray[Any], *args: P.args, **kwargs: P.kwargs) -> Images:
        holes = _check(images, masks)
        filled = np.empty_like(images)
        for index, (image, hole) in enumerate(zip(images, holes, strict=True)):
            blanked = np.where(hole[..., None], np.uint8(0), image)
            proposal = fill(blanked, hole.astype(np.uint8), *args, **kwargs)
            filled[index] = np.where(hole[..., None], proposal, image)
        return filled

    BASELINES[fill.__name__] = baseline
    return baseline


def _check(images: Images, masks: NDArray[Any]) -> NDArray[np.bool_]:
    """The masks as bool [N, H, W], True = hole; ValueError for wrong shapes or types, or an image that is all hole."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or masks.shape != images.shape[:3]:
        raise ValueError(
            "images uint8 [N, H, W, 3] and masks [N, H, W] are needed, "
            f"not {images.dtype} {images.shape} and {masks.shape}"
        )
    holes = masks == 1
    if not (holes | (masks == 0)).all():
        raise ValueError("a mask holds 0 (known) and 1 (hole) only")
    if holes.all(axis=(1, 2)).any():
        raise ValueError("an image with no known pixel cannot be filled")
    return holes


@register_baseline
def telea(image: Images, mask: Images, radius: float = 3) -> Images:
    """Telea 2004, fast marching: each hole pixel from the known ones within ``radius`` pixels, from the rim inwards."""
    return cv2.inpaint(image, mask, radius, cv2.INPAINT_TELEA).astype(np.uint8, copy=False)


@register_baseline
def navier_stokes(image: Images, mask: Images, radius: float = 3) -> Images:
    """Bertalmio et al. 2001: isophotes are continued into the hole; ``radius`` in pixels."""
    return cv2.inpaint(image, mask, radius, cv2.INPAINT_NS).astype(np.uint8, copy=False)


@register_baseline
def mean_fill(image: Images, mask: Images) -> Images:
    """The mean colour of the image's own known pixels."""
    colour = np.rint(image[mask == 0].mean(axis=0)).astype(np.uint8)
    return np.broadcast_to(colour, image.shape)


def fill_by_baseline(name: str) -> Fill:
    """One of BASELINES."""

    def fill(images: Images, masks: NDArray[np.uint8]) -> Filled:
        filled = channels_first(BASELINES[name](images, masks))
        return Filled(filled, torch.ones(len(filled), dtype=torch.bool))

    return fill
