"""The faces on which PyTorch and the exported file are compared."""

import numpy as np
import pytest

from facerecon.corruption.frozen import MaskSet
from facerecon.data.datasets import evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.export.parity import parity_inputs


def test_they_are_validation_faces_under_masks_of_every_kind_in_turn(
    tiny_manifest: Manifest, tiny_masks: MaskSet
) -> None:
    images, masks = parity_inputs(tiny_manifest, tiny_masks, 64)
    faces = evaluation_faces(tiny_manifest, "val", 64)
    assert len(images) == 3
    assert np.array_equal(images, faces.images)
    kinds = [(1, "brush"), (1, "held_out"), (2, "brush")]
    for mask, sha, kind in zip(masks, faces.sha256s, kinds, strict=True):
        assert np.array_equal(mask, tiny_masks.for_face(sha, *kind))


def test_no_more_than_asked_for(tiny_manifest: Manifest, tiny_masks: MaskSet) -> None:
    assert [len(part) for part in parity_inputs(tiny_manifest, tiny_masks, 2)] == [2, 2]


def test_no_face_to_compare_on_is_an_error(tiny_manifest: Manifest, tiny_masks: MaskSet) -> None:
    faces = tiny_manifest.faces[tiny_manifest.faces["split"] != "val"]
    with pytest.raises(FaceReconError, match="the val split has no face"):
        parity_inputs(Manifest(root="", faces=faces, store=tiny_manifest.store, size=64), tiny_masks, 2)
