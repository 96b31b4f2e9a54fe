"""Where faces lie in crops that were aligned elsewhere: what a source's setting ``aligned`` may name."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Name = Literal["arcface", "facenet", "ffhq"]


@dataclass(frozen=True)
class Template:
    """The middles of the eyes, the tip of the nose and the corners of the mouth in a crop of side 1; ``tolerance`` is
    how far faces may lie from it in the median, as a mean distance of the five points."""

    points: tuple[tuple[float, float], ...]
    tolerance: float

    def distances(self, five: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of points [N, 5, 2] in crops of side 1 each face's mean distance [N]."""
        return np.linalg.norm(five - np.array(self.points), axis=2).mean(axis=1)


TEMPLATES: dict[Name, Template] = {
    # Deng et al., 2019: of 112 px
    "arcface": Template(((0.346, 0.466), (0.661, 0.464), (0.505, 0.645), (0.375, 0.829), (0.636, 0.828)), 0.05),
    # boxes of facenet-pytorch's MTCNN without margin, by default of 160 px: not turned upright, so they vary more
    "facenet": Template(((0.290, 0.380), (0.710, 0.380), (0.500, 0.595), (0.330, 0.750), (0.670, 0.750)), 0.12),
    # Karras et al., 2019: the square of facerecon.data.geometry
    "ffhq": Template(((0.375, 0.470), (0.625, 0.470), (0.500, 0.625), (0.398, 0.737), (0.602, 0.737)), 0.05),
}
"""By name; those of facenet and ffhq are means of five points that FaceLandmarker finds in photographs."""


def misfit(name: Name, five: NDArray[np.float32]) -> str:
    """Why faces with these points [N, 5, 2], in crops of side 1, are not of the template ``name``; "" if they are."""
    medians = {other: float(np.median(each.distances(five))) for other, each in TEMPLATES.items()}
    nearest = min(medians, key=lambda other: medians[other])
    if nearest == name and medians[name] <= TEMPLATES[name].tolerance:
        return ""
    eyes = ", ".join(f"({x:.2f}, {y:.2f})" for x, y in np.median(five[:, :2], axis=0))
    fits = f"these look like '{nearest}'" if medians[nearest] <= TEMPLATES[nearest].tolerance else "no template fits"
    wanted = ", ".join(f"({x:.2f}, {y:.2f})" for x, y in TEMPLATES[name].points[:2])
    return f"the eyes lie at {eyes} of the side, by '{name}' at {wanted}: {fits}"
