"""Frozen crops: the same at every time, verified when they are read, and no more than can be cut."""

import json
from pathlib import Path

import numpy as np
import pytest

from facerecon.data.geometry import cut
from facerecon.data.manifest import Manifest
from facerecon.data.photos import read_photo
from facerecon.errors import FaceReconError
from facerecon.tasks.landmarks.cases import CasesPart, LandmarkCases, freeze, load
from tests.facerecon.tasks.landmarks.conftest import settings_of


def part() -> CasesPart:
    return CasesPart.model_validate(settings_of().values("degradations"))


def test_crops_are_cut_from_the_photographs(faces: Manifest, cases: LandmarkCases) -> None:
    row = faces.faces[faces.faces["split"] == "test"].iloc[0]
    crop, padding = cut(read_photo(faces, row), cases.square(row["face"]), 64)
    assert padding == 0, "no border is made up"
    np.testing.assert_array_equal(cases.images("clean", [row["face"]])[0], crop)
    aligned = faces.aligned_faces.crop(row["face"])
    assert np.abs(aligned.astype(int) - crop).mean() > 5, "aligned by the very points they would give them away"


def test_they_are_the_same_anywhere_and_read_back(faces: Manifest, cases: LandmarkCases, tmp_path: Path) -> None:
    again = freeze(part(), faces, tmp_path)
    assert (again.digest, again.description) == (cases.digest, cases.description)
    assert load(tmp_path, again.description) == again
    picture = again.picture()
    assert picture.shape == (3 * 64, 6 * 64, 3)


def test_other_placements_than_were_written_are_refused(faces: Manifest, tmp_path: Path) -> None:
    made = freeze(part(), faces, tmp_path)
    (path,) = tmp_path.glob("placements-*.json")
    placed = json.loads(path.read_text())
    face = min(placed)
    path.write_text(json.dumps(placed | {face: [0, 0, 60, 0]}))
    with pytest.raises(FaceReconError, match="other placements"):
        load(tmp_path, made.description)
    path.unlink()
    with pytest.raises(FaceReconError, match="run the pipeline again"):
        load(tmp_path, made.description)


def test_faces_whose_photograph_is_gone_are_left_out_and_counted(
    faces: Manifest, shaped_faces: Path, tmp_path: Path
) -> None:
    gone = faces.faces[faces.faces["split"] == "test"].iloc[0]
    path = shaped_faces / gone["uri"]
    aside = path.rename(tmp_path / "aside.jpg")
    try:
        made = freeze(part(), faces, tmp_path / "cases")
    finally:
        aside.rename(path)
    assert not made.has(gone["face"])
    assert made.left_out == {"the photograph is gone": 1}
