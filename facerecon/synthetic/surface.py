"""The surface of a face between its points, as the camera sees it: what is hidden behind other parts is not seen."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facerecon.perception.landmarks import Points, sixty_eight
from facerecon.synthetic.mesh import FACE_POINTS, read_canonical
from facerecon.synthetic.raster import Integers, rasterise
from facerecon.weights import weights_path

_FAR = 1e3
"""The camera is so many times farther away than the face is large: without perspective, to the eye."""


def mesh_surface(points: Points, size: int) -> NDArray[np.float32]:
    """z at the middle of each pixel of an image of ``size`` pixels: float32 [size, size], NaN beside the face.

    ``points`` [>=468, 3] are those of the canonical mesh in pixels of this image; z is in any unit and grows towards
    the camera. Raises FaceReconError if the weights ``face_landmarker``, which hold the mesh, cannot be had.
    """
    return _nearest(points[:FACE_POINTS], _triangles(weights_path("face_landmarker"))[0], size)


def sixty_eight_surface(points: Points, size: int) -> NDArray[np.float32]:
    """The same of the 68 points [68, 3], between which triangles are laid on a face from the front (Delaunay)."""
    return _nearest(points, _triangles(weights_path("face_landmarker"))[1], size)


@lru_cache(maxsize=1)
def _triangles(weights: Path) -> tuple[Integers, Integers]:
    """Those of the canonical mesh and those between the 68 points, counter-clockwise as seen from outside, y up."""
    from scipy.spatial import Delaunay

    face, triangles = read_canonical(weights)
    flat = sixty_eight(face)[:, :2]
    between = Delaunay(flat).simplices.astype(np.int64)
    first, second, third = flat[between].transpose(1, 0, 2)
    ahead, aside = second - first, third - first
    clockwise = ahead[:, 0] * aside[:, 1] < ahead[:, 1] * aside[:, 0]
    between[clockwise] = between[clockwise, ::-1]
    return triangles, between


def _nearest(points: Points, triangles: Integers, size: int) -> NDArray[np.float32]:
    z = points[:, 2].astype(np.float64)
    away = z.max() - z + _FAR * max(float(np.ptp(points, axis=0).max()), 1.0)
    fragments = rasterise(points[:, :2], away, triangles, size)
    found = np.full(size * size, np.nan, np.float32)
    found[fragments.pixel] = fragments.interpolate(z[:, None], triangles)[:, 0]
    return found.reshape(size, size)
