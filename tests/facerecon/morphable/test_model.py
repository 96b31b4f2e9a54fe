"""The morphable model: what it holds of drawn people, and that none of a data set is in it."""

import numpy as np

from facerecon.morphable.model import COMPONENTS, SEED, MorphableModel, _made
from facerecon.synthetic import draw_identity
from facerecon.synthetic.mesh import read_canonical
from facerecon.synthetic.modes import EXPRESSIONS, SHAPES, field_basis
from facerecon.weights import weights_path


def test_forty_components_hold_98_percent_of_people_it_never_saw(model: MorphableModel) -> None:
    face, _ = read_canonical(weights_path("face_landmarker"))
    modes = np.concatenate([np.stack([mode(face) for mode in SHAPES.values()]), field_basis(face)])
    people = [draw_identity(0, number) for number in range(150)]
    drawn = np.array([person.shape + person.field for person in people]) @ modes.reshape(len(modes), -1)
    drawn -= drawn.mean(axis=0)
    basis, _ = np.linalg.qr(model.components.reshape(COMPONENTS, -1).T.astype(np.float64))
    held = float(((drawn @ basis) ** 2).sum() / (drawn**2).sum())
    assert round(held, 2) >= 0.98
    assert abs(held - model.explained) < 0.01
    # a unit is a standard deviation
    coefficients = np.linalg.lstsq(model.components.reshape(COMPONENTS, -1).T.astype(np.float64), drawn.T)[0]
    assert 0.9 < coefficients.std() < 1.1


def test_its_parts_are_those_of_the_canonical_face(model: MorphableModel) -> None:
    face, triangles = read_canonical(weights_path("face_landmarker"))
    assert model.components.shape == (COMPONENTS, 468, 3)
    assert model.expressions.shape == (len(EXPRESSIONS), 468, 3)
    np.testing.assert_array_equal(model.triangles, triangles)
    assert np.abs(model.mean - face).max() < 1.0, "cm"
    sizes = np.linalg.norm(model.components.reshape(COMPONENTS, -1), axis=1)
    assert (np.diff(sizes) <= 1e-5).all()
    np.testing.assert_array_equal(model.shape(np.zeros(COMPONENTS), np.zeros(len(EXPRESSIONS))), model.mean)


def test_it_is_the_same_each_time_and_of_a_world_of_its_own(model: MorphableModel) -> None:
    again = _made.__wrapped__(weights_path("face_landmarker"))
    np.testing.assert_array_equal(again.components, model.components)
    assert SEED > 1_000_000, "data sets have small seeds"
