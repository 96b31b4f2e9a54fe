"""How a head may differ from the canonical one (shape) and move (expression), as smooth displacements in cm.

Each mode maps points at rest [V, 3] to displacements [V, 3] for a coefficient of 1. Shape coefficients are drawn from a
normal distribution; expression coefficients lie in [0, 1] unless said otherwise.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from facerecon.synthetic.raster import Floats

Mode = Callable[[Floats], NDArray[np.float64]]

EYE, BROW, CORNER = (3.18, 2.62, 3.6), (3.5, 5.0, 4.5), (2.46, -4.34, 4.28)
SEAM = -4.27
"""Height of the line between the closed lips."""


def _bump(points: Floats, centre: tuple[float, float, float], width: tuple[float, float, float]) -> NDArray[np.float64]:
    """A Gaussian bump [V] round ``centre``."""
    return np.exp(-0.5 * (((points - np.array(centre)) / np.array(width)) ** 2).sum(axis=1))


def _twin(points: Floats, centre: tuple[float, float, float], width: tuple[float, float, float]) -> NDArray[np.float64]:
    """The same at both sides of the face."""
    return _bump(points * np.array([-1, 1, 1]), centre, width) + _bump(points, centre, width)


def _along(weight: NDArray[np.float64], x: object = 0.0, y: object = 0.0, z: object = 0.0) -> NDArray[np.float64]:
    """Displacements [V, 3] from a weight [V] and an amount per axis (number or [V])."""
    return np.stack([weight * np.asarray(amount, dtype=np.float64) for amount in (x, y, z)], axis=1)


def _side(points: Floats) -> NDArray[np.float64]:
    """-1 at the image's left, 1 at its right, smooth between."""
    return np.tanh(points[:, 0] / 0.6)


def _head(points: Floats) -> NDArray[np.float64]:
    """1 on the head, 0 on the shoulders."""
    return np.clip((points[:, 1] + 15) / 5, 0, 1)


def _eye_size(p: Floats) -> NDArray[np.float64]:
    offset = np.stack([np.abs(p[:, 0]), p[:, 1], p[:, 2]], axis=1) - np.array(EYE)
    return _along(_twin(p, EYE, (1.7, 1.1, 2)), x=0.09 * offset[:, 0] * _side(p), y=0.2 * offset[:, 1])


def jaw_weight(p: Floats) -> NDArray[np.float64]:
    """How far each point [V] follows the lower jaw: 0 above the lips' seam, 1 below; the cheeks between."""
    across = np.abs(p[:, 0])
    # only the canonical face has lips that part; in the cheeks the change is gradual
    half = np.interp(across, [0, 2.0, 2.5, 4.5], [0.05, 0.12, 0.6, 2.4])
    weight = np.clip(0.5 + (SEAM - p[:, 1]) / (2 * half), 0, 1)
    weight = weight * weight * (3 - 2 * weight)
    front = np.clip((p[:, 2] + 4.5) / 3.5, 0, 1)
    return weight * front * np.clip((p[:, 1] + 14) / 3, 0, 1)


def _close_lips(p: Floats) -> NDArray[np.float64]:
    """The canonical face's lips stand 5.5 mm apart; this brings them together."""
    gap = 0.55 * np.clip(1 - (p[:, 0] / 2.15) ** 2, 0, 1)
    near = np.exp(-np.clip(np.abs(p[:, 1] - SEAM) - gap / 2, 0, None) / 0.6) * (p[:, 2] > 2)
    return _along((2 * jaw_weight(p) - 1) * near, y=gap / 2)


def _lip_height(p: Floats) -> NDArray[np.float64]:
    """Height above the seam [V] with the lips closed: full lips grow outwards, and still meet."""
    return p[:, 1] + _close_lips(p)[:, 1] - SEAM


SHAPES: dict[str, Mode] = {
    "face_width": lambda p: _along(_head(p), x=0.055 * p[:, 0]),
    "face_length": lambda p: _along(_head(p), y=0.042 * (p[:, 1] - 2.6)),
    "jaw_width": lambda p: _along(np.exp(-0.5 * ((p[:, 1] + 6.5) / 2.6) ** 2) * _head(p), x=0.08 * p[:, 0]),
    "chin_length": lambda p: _along(_bump(p, (0, -9.6, 4), (3.2, 2.0, 4)), y=-0.75),
    "chin_forward": lambda p: _along(_bump(p, (0, -8.6, 4), (3.0, 2.2, 4)), z=0.6),
    "chin_width": lambda p: _along(_bump(p, (0, -9, 4), (3.5, 1.6, 4)), x=0.1 * p[:, 0]),
    "cheekbones": lambda p: _along(_twin(p, (6.0, 0.4, 2), (2.2, 2.0, 3)), x=0.42 * _side(p), z=0.25),
    "cheeks_full": lambda p: _along(_twin(p, (4.8, -3.4, 2.6), (2.0, 2.2, 3)), x=0.45 * _side(p), z=0.35),
    "nose_length": lambda p: _along(_bump(p, (0, -1.4, 6.6), (1.6, 1.5, 2.2)), y=-0.36),
    "nose_projection": lambda p: _along(_bump(p, (0, -0.8, 7.2), (1.3, 1.7, 2.0)), z=0.5),
    "nose_width": lambda p: _along(_bump(p, (0, -1.2, 6), (2.2, 1.5, 2.2)), x=0.19 * p[:, 0]),
    "nose_bridge": lambda p: _along(_bump(p, (0, 2.2, 5.6), (0.9, 1.7, 2.0)), z=0.4),
    "nose_hump": lambda p: _along(_bump(p, (0, 1.2, 6.4), (0.8, 0.9, 1.5)), z=0.25),
    "nose_tip_up": lambda p: _along(_bump(p, (0, -0.7, 7.5), (0.9, 0.8, 1.2)), y=0.32, z=-0.05),
    "nose_tip_wide": lambda p: _along(_bump(p, (0, -0.6, 7.2), (1.0, 0.9, 1.2)), x=0.22 * p[:, 0]),
    "eye_distance": lambda p: _along(_twin(p, EYE, (1.7, 1.9, 3)), x=0.21 * _side(p)),
    "eye_size": _eye_size,
    "eye_tilt": lambda p: _along(_twin(p, EYE, (1.5, 1.0, 2)), y=0.13 * (np.abs(p[:, 0]) - 3.18)),
    "eye_height": lambda p: _along(_twin(p, EYE, (2.0, 1.3, 3)), y=0.2),
    "eye_depth": lambda p: _along(_twin(p, EYE, (1.6, 1.2, 3)), z=-0.25),
    "brow_height": lambda p: _along(_twin(p, BROW, (2.2, 0.9, 3)), y=0.26),
    "brow_ridge": lambda p: _along(_twin(p, (2.4, 4.3, 4.9), (1.8, 0.9, 3)), z=0.32),
    "brow_tilt": lambda p: _along(_twin(p, BROW, (2.0, 0.9, 3)), y=0.13 * (np.abs(p[:, 0]) - 3.4)),
    "mouth_width": lambda p: _along(_bump(p, (0, SEAM, 4.8), (2.8, 1.1, 3)), x=0.12 * p[:, 0]),
    "mouth_height": lambda p: _along(_bump(p, (0, SEAM, 5), (2.8, 1.5, 3)), y=0.27),
    "upper_lip_full": lambda p: _along(_bump(p, (0, -3.6, 5.6), (2.0, 0.6, 2)), y=0.38 * _lip_height(p), z=0.12),
    "lower_lip_full": lambda p: _along(_bump(p, (0, -5.1, 5.4), (1.9, 0.7, 2)), y=0.3 * _lip_height(p), z=0.14),
    "mouth_forward": lambda p: _along(_bump(p, (0, SEAM, 5), (2.6, 1.7, 2.5)), z=0.35),
    "forehead_slope": lambda p: _along(_bump(p, (0, 8.5, 4), (7, 2.4, 5)), z=-0.6),
    "forehead_height": lambda p: _along(np.clip((p[:, 1] - 5) / 6, 0, 1), y=0.55),
    "temples": lambda p: _along(_twin(p, (6.5, 5.5, 1), (1.8, 2.2, 3)), x=0.35 * _side(p)),
    "neck_width": lambda p: _along(
        np.clip((-p[:, 1] - 8) / 3, 0, 1) * np.clip((p[:, 1] + 19) / 3, 0, 1), x=0.07 * p[:, 0]
    ),
    "ears_out": lambda p: _along(np.clip((np.abs(p[:, 0]) - 7.9) / 1.2, 0, 1) * _head(p), x=0.3 * _side(p), z=0.1),
    "ears_tall": lambda p: _along(np.clip((np.abs(p[:, 0]) - 7.7) / 0.5, 0, 1) * _head(p), y=0.09 * (p[:, 1] - 1.0)),
}
"""Named differences between people; one standard deviation each."""

_FIELD_CENTRES = np.array(
    [
        *((0, 8, 4.5), (0, 4.6, 5.3), (0, 1.5, 6), (0, -1, 7), (0, -3, 5.8), (0, -6.8, 5), (0, -9.3, 4)),
        *((3, 7.2, 4), (6, 6, 1), (4.6, 4.4, 4), (2, 3.6, 4.4), (5.3, 2, 3), (3, 1, 4.2), (1.5, -0.8, 5.4)),
        *((4.6, -1, 3.6), (6.8, -1, 1), (3, -3, 4.6), (5.6, -4.5, 1.5), (3, -6.6, 4), (5, -7.2, 0.8), (2.4, -9, 3)),
    ],
    dtype=np.float64,
)
FIELD_SIZE = len(_FIELD_CENTRES) * 4
"""Coefficients of the random field: three symmetric and one asymmetric per centre."""


def field_basis(points: Floats) -> Floats:
    """Displacements [FIELD_SIZE, V, 3] of the smooth random field: x, y, z mirrored at both sides, and one uneven."""
    modes = []
    for centre in _FIELD_CENTRES:
        width = (1.9, 1.6, 2.5)
        weight = _twin(points, tuple(centre), width) if centre[0] else _bump(points, tuple(centre), width)
        uneven = _bump(points, tuple(centre), width)
        modes += [
            _along(weight, x=0.15 * _side(points)),
            _along(weight, y=0.15),
            _along(weight, z=0.2),
            _along(uneven, x=0.05, y=0.06, z=0.04),
        ]
    return np.stack(modes).astype(np.float32)


def _jaw_open(p: Floats) -> NDArray[np.float64]:
    hinge, angle = np.array([0.0, -0.2, -2.4]), np.deg2rad(15)
    y, z = p[:, 1] - hinge[1], p[:, 2] - hinge[2]
    turned_y, turned_z = y * np.cos(angle) - z * np.sin(angle), y * np.sin(angle) + z * np.cos(angle)
    return _along(jaw_weight(p), y=turned_y - y, z=turned_z - z)


def _smile(p: Floats) -> NDArray[np.float64]:
    corners = _along(_twin(p, CORNER, (1.15, 1.0, 1.6)), x=0.5 * _side(p), y=0.5, z=-0.25)
    cheeks = _along(_twin(p, (4.0, -1.2, 4.0), (1.3, 1.1, 2)), x=0.1 * _side(p), y=0.28, z=0.3)
    middle = _along(_bump(p, (0, -3.4, 5.8), (1.5, 0.6, 2)), y=0.1, z=-0.12)
    lids = _along(_twin(p, (3.2, 2.1, 3.8), (1.2, 0.28, 2)), y=0.1)
    return corners + cheeks + middle + lids


def _close_lids(p: Floats) -> NDArray[np.float64]:
    across, height = np.abs(p[:, 0]) - 3.16, p[:, 1] - 2.62
    opening = 0.68 * np.clip(1 - (across / 1.3) ** 2, 0, 1) ** 0.6
    above = np.where(height > -0.02, np.exp(-np.clip(height - 0.36, 0, None) / 0.42), 0.0)
    near = (np.abs(across) < 1.75) & (np.abs(height) < 1.6) & (p[:, 2] > 2.4)
    return _along(above * near, y=-opening * 0.93)


def _squint(p: Floats) -> NDArray[np.float64]:
    lower = _along(_twin(p, (3.2, 2.15, 3.8), (1.0, 0.3, 2)), y=0.17)
    return lower + 0.15 * _close_lids(p)


EXPRESSIONS: dict[str, Mode] = {
    "jaw_open": _jaw_open,
    "smile": _smile,
    "frown": lambda p: _along(_twin(p, CORNER, (1.1, 0.9, 1.6)), y=-0.35, x=-0.1 * _side(p)),
    "pucker": lambda p: _along(_bump(p, (0, SEAM, 5), (2.4, 1.1, 3)), x=-0.14 * p[:, 0], z=0.4),
    "close_lips": _close_lips,
    "brow_raise": lambda p: _along(_twin(p, BROW, (2.4, 1.1, 3)), y=0.5),
    "brow_furrow": lambda p: _along(_twin(p, (1.6, 4.8, 5.2), (1.1, 0.9, 2)), x=-0.28 * _side(p), y=-0.3),
    "close_lids": _close_lids,
    "squint": _squint,
}
"""Named movements; a coefficient of 1 is a strong one. ``close_lids`` may be negative: eyes wide open. With 0
everywhere the face is the canonical one, its lips apart."""
