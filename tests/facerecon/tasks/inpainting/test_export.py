"""The ONNX contract of inpainting, and the faces on which PyTorch and the exported file are compared."""

import numpy as np
import pytest
import torch

from facerecon.contract import INPAINTING
from facerecon.corruption.frozen import MaskSet
from facerecon.data.datasets import evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.evaluation.metrics import channels_first
from facerecon.models.trained import TrainedModel
from facerecon.tasks.inpainting.cases import MaskCases
from facerecon.tasks.inpainting.export import contract, example, parity_inputs


def test_parity_is_of_validation_faces_under_masks_of_every_kind_in_turn(
    tiny_manifest: Manifest, tiny_masks: MaskSet
) -> None:
    given = parity_inputs(tiny_manifest, MaskCases(tiny_masks), 64)
    assert list(given) == ["image", "mask"]
    assert all(array.dtype == np.float32 for array in given.values())
    faces = evaluation_faces(tiny_manifest, "val", 64)
    assert given["image"].shape == (3, 3, 64, 64)
    assert np.array_equal(given["image"], channels_first(faces.images).numpy().astype(np.float32) / 127.5 - 1)
    kinds = [(1, "brush"), (1, "held_out"), (2, "brush")]
    for mask, sha, kind in zip(given["mask"][:, 0], faces.sha256s, kinds, strict=True):
        assert np.array_equal(mask, tiny_masks.for_face(sha, *kind))


def test_no_more_than_asked_for(tiny_manifest: Manifest, tiny_masks: MaskSet) -> None:
    given = parity_inputs(tiny_manifest, MaskCases(tiny_masks), 2)
    assert [len(array) for array in given.values()] == [2, 2]


def test_no_face_to_compare_on_is_an_error(tiny_manifest: Manifest, tiny_masks: MaskSet) -> None:
    faces = tiny_manifest.faces[tiny_manifest.faces["split"] != "val"]
    manifest = Manifest(faces, store=tiny_manifest.store, size=64)
    with pytest.raises(FaceReconError, match="the val split has no face"):
        parity_inputs(manifest, MaskCases(tiny_masks), 2)


def test_the_example_fits_the_signature_and_the_contract_takes_it(tiny_model: TrainedModel) -> None:
    given, _ = INPAINTING.checked(example(tiny_model))
    module = contract(tiny_model)
    assert not module.training
    image, mask = (torch.from_numpy(given[name]) for name in ("image", "mask"))
    with torch.no_grad():
        reconstruction, confidence = module(image, mask)
        output = tiny_model.build()(image, mask)
    assert torch.equal(reconstruction, output.reconstruction)
    assert torch.equal(confidence, output.confidence(mask))
    assert 0 < mask.mean() < 1, "something is hidden, something known"
