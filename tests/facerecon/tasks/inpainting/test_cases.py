"""The frozen cases of inpainting: masks as ever, and beside them, where they are wanted, degraded faces."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facerecon.corruption.degradation_settings import DegradationSettings
from facerecon.corruption.frozen import build_mask_set
from facerecon.corruption.settings import MaskSettings
from facerecon.data.manifest import Manifest
from facerecon.errors import FaceReconError
from facerecon.tasks.inpainting.cases import CasesPart, MaskCases, freeze, load

MASKS = MaskSettings(count=8, evaluation_families=("brush",))
DEGRADED = DegradationSettings(evaluation=("motion", "cctv"))
PART = CasesPart(masks=MASKS, degradations=DEGRADED)


def the_test_faces(manifest: Manifest) -> list[str]:
    return sorted(manifest.split("test")["face"])


def test_without_degradations_the_cases_are_the_masks_and_nothing_else(tiny_manifest: Manifest, tmp_path: Path) -> None:
    cases = freeze(CasesPart(masks=MASKS), tiny_manifest, tmp_path)
    masks = build_mask_set(tmp_path / "alone", 64, MASKS.evaluation_families, MASKS.levels, MASKS.count, MASKS.seed)
    assert (cases.digest, cases.description) == (masks.digest, masks.description)
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == sorted(path.name for path in masks.folder.iterdir())
    assert load(tmp_path, cases.description) == cases == MaskCases(masks)


def test_degraded_faces_are_read_back_from_their_description(tiny_manifest: Manifest, tmp_path: Path) -> None:
    cases = freeze(PART, tiny_manifest, tmp_path)
    again = load(tmp_path, cases.description)
    assert again == cases
    assert again.degraded is not None
    pixels = again.degraded.for_faces("cctv", the_test_faces(tiny_manifest))
    assert pixels.shape == (len(the_test_faces(tiny_manifest)), 64, 64, 3)
    assert cases.digest != freeze(CasesPart(masks=MASKS), tiny_manifest, tmp_path).digest
    (tmp_path / again.degraded.presets["cctv"].file).unlink()
    with pytest.raises(FaceReconError, match=r"degraded faces .* is missing"):
        load(tmp_path, cases.description)


def test_no_face_that_decides_is_degraded(tiny_manifest: Manifest, tmp_path: Path) -> None:
    apart = {
        "test_old": tuple(the_test_faces(tiny_manifest)[:1]),
        "gate_old": tuple(tiny_manifest.split("gate")["face"]),
    }
    for manifest in (tiny_manifest, replace(tiny_manifest, face_sets=apart)):
        degraded = freeze(PART, manifest, tmp_path).degraded
        assert degraded is not None
        assert sorted(degraded.presets["motion"].faces) == the_test_faces(tiny_manifest)


def test_pixels_stay_when_faces_come(tiny_manifest: Manifest, tmp_path: Path) -> None:
    rows = tiny_manifest.faces
    first = the_test_faces(tiny_manifest)[:2]
    fewer = replace(tiny_manifest, faces=rows[(rows["split"] != "test") | rows["face"].isin(first)])
    before, after = freeze(PART, fewer, tmp_path).degraded, freeze(PART, tiny_manifest, tmp_path).degraded
    assert before is not None
    assert after is not None
    assert len(after.presets["cctv"].faces) > len(before.presets["cctv"].faces)
    np.testing.assert_array_equal(after.for_faces("cctv", first), before.for_faces("cctv", first))
