"""Changes of a face that leave it a face, on image and target alike (the masked input is made from the result)."""

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facerecon.perception.landmarks import Points
from facerecon.settings import Settings, Share


class AugmentationSettings(Settings):
    """Changes of image and target alike. Angles in degrees; the others are largest relative changes."""

    flip: Share = 0.5
    rotation: float = Field(
        0.0, ge=0, le=45, description="faces are aligned: what is lost by turning them was more than what was won"
    )
    brightness: Share = 0.2
    contrast: Share = 0.2
    colour: Share = 0.2
    blur: Share = Field(0.1, description="probability of a slight Gaussian blur")


_MIRRORED_FIVE = [1, 0, 2, 4, 3]
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def augment(
    image: NDArray[np.uint8],
    points5: Points,
    points68: Points,
    settings: AugmentationSettings,
    rng: np.random.Generator,
    parts: NDArray[np.uint8] | None = None,
) -> tuple[NDArray[np.float32], Points, Points, NDArray[np.uint8] | None]:
    """A changed face: image float32 [H, W, 3] with values 0..255, its five and 68 points in pixels, and the labels of
    its ``parts`` uint8 [H, W], 0 where the image was mirrored at its edge.

    The number of draws from ``rng`` does not depend on the settings, so switching one change off leaves the others as
    they were. After a flip the 68 points keep their indices (they outline the mirrored parts), the five points are
    put in their order again, left eye first.
    """
    # plain floats: NumPy's own would make the image float64
    flip, angle, brightness, contrast, blur, sigma = rng.random(6).tolist()
    colour = rng.uniform(-1, 1, 3).astype(np.float32)
    size = image.shape[0]
    middle = (size - 1) / 2
    turn = np.asarray(cv2.getRotationMatrix2D((middle, middle), (2 * angle - 1) * settings.rotation, 1.0), np.float64)
    if flip < settings.flip:
        turn = turn @ np.array([[-1, 0, size - 1], [0, 1, 0], [0, 0, 1]])
        points5 = points5[_MIRRORED_FIVE]
    changed = cv2.warpAffine(image, turn, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    changed = changed.astype(np.float32)
    if blur < settings.blur:
        changed = cv2.GaussianBlur(changed, (0, 0), 0.3 + 0.7 * sigma)
    gray = float((changed @ _LUMA).mean())
    changed = (changed - gray) * (1 + (2 * contrast - 1) * settings.contrast) + gray
    changed *= (1 + (2 * brightness - 1) * settings.brightness) * (1 + colour * settings.colour / 2)
    if parts is not None:
        parts = cv2.warpAffine(parts, turn, (size, size), flags=cv2.INTER_NEAREST).astype(np.uint8, copy=False)
    return np.clip(changed, 0, 255), _move(points5, turn), _move(points68, turn), parts


def _move(points: Points, turn: NDArray[np.floating]) -> Points:
    """Move points given from the image's corner by a map of pixel indices, which count from a pixel's centre."""
    return ((points - 0.5) @ turn[:, :2].T + turn[:, 2] + 0.5).astype(np.float32)
