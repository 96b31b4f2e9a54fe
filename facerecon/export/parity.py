"""Real faces on which the exported file must agree with PyTorch."""

import numpy as np
from numpy.typing import NDArray

from facerecon.corruption.frozen import MaskSet
from facerecon.data.datasets import evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError


def parity_inputs(manifest: Manifest, masks: MaskSet, most: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Faces of the val split, uint8 [N, H, W, 3], and masks [N, H, W] (1 = hole) of every kind in turn.

    Raises:
        FaceReconError: the val split has no face.
    """
    faces = evaluation_faces(manifest, "val", most)
    if not len(faces):
        raise FaceReconError("the val split has no face: give more people, or raise data.splits.val")
    kinds = sorted(masks.masks)
    chosen = [masks.for_face(sha, *kinds[index % len(kinds)]) for index, sha in enumerate(faces.sha256s)]
    return faces.images, np.stack(chosen)
