"""A face as a Wavefront OBJ file."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_ABOUT = (
    "A face fitted to 68 points of a photograph: an estimate of a model, no measurement of a person's face.",
    "Unit: mm. The camera stands in the origin: x right, y up, z towards the camera.",
)


def obj_text(vertices: NDArray[np.floating], triangles: NDArray[np.integer], remarks: Sequence[str] = ()) -> str:
    """The text of an OBJ file of ``vertices`` [V, 3] (``Fit.vertices``) and ``triangles`` [F, 3]; the same each time.

    ``remarks`` are further comments, a line each, such as what camera was assumed and why the face is the mean one.
    """
    lines = [f"# {' '.join(line.split())}" for line in (*_ABOUT, *remarks)]
    # no negative zero
    lines += [f"v {x:.3f} {y:.3f} {z:.3f}" for x, y, z in (np.asarray(vertices, np.float64).round(3) + 0.0).tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (np.asarray(triangles) + 1).tolist()]
    return "\n".join(lines) + "\n"
