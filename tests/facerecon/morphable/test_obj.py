"""The OBJ file of a face: it is read back as it was."""

import numpy as np

from facerecon.morphable.fit import fit
from facerecon.morphable.model import MorphableModel
from facerecon.morphable.obj import obj_text
from tests.facerecon.morphable.conftest import Drawn


def test_the_file_holds_the_face(model: MorphableModel, drawn_faces: list[Drawn]) -> None:
    found = fit(model, drawn_faces[0].points, drawn_faces[0].camera)
    text = obj_text(found.vertices, model.triangles, ["the camera is assumed:\n50°"])
    rows = [line.split() for line in text.splitlines()]
    vertices = np.array([row[1:] for row in rows if row[0] == "v"], dtype=np.float64)
    triangles = np.array([row[1:] for row in rows if row[0] == "f"], dtype=np.int64)
    assert vertices.shape == (468, 3)
    assert triangles.shape == (898, 3)
    np.testing.assert_allclose(vertices, found.vertices, atol=6e-4)
    np.testing.assert_array_equal(triangles - 1, model.triangles)
    assert {row[0] for row in rows} == {"#", "v", "f"}
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert "estimate" in comments[0]
    assert "mm" in comments[1]
    assert comments[2] == "# the camera is assumed: 50°"
    assert obj_text(found.vertices, model.triangles, ["the camera is assumed:\n50°"]) == text


def test_there_is_no_negative_zero(model: MorphableModel) -> None:
    assert "-0.000" not in obj_text(np.full((3, 3), -1e-5), np.array([[0, 1, 2]]))
