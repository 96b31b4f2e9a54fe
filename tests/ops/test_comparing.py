"""A retrained model beside the champion and the anchor: who is left out, and what is said where nobody knows."""

from dataclasses import replace

import numpy as np
import pytest

from facerecon.evaluation.evaluation import FaceSet
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.scores import Scores
from ops.comparing import comparisons
from ops.initial_weights import InitialWeights
from ops.registry import connect


@pytest.fixture
def measured(published_by, make_model, make_manifest):
    """Versions 2's evaluation on the gate's faces, as if they were new test faces, beside a champion 1 dB worse."""
    faces = tuple(make_manifest().split("gate")["face"])

    def evaluation(seed: int):
        scores, key = Scores(), MetricKey("test_new", "hole_psnr", "brush", 1)
        scores.add(key, "model", faces, np.full(len(faces), 20.0))
        scores.add(key, "champion", faces, np.full(len(faces), 19.0))
        one = published_by.evaluation(20.0)
        return replace(
            one,
            model=one.model.model_copy(update={"weights": make_model(seed).digest}),
            scores=scores,
            face_sets=(FaceSet(name="test_new", faces=len(faces), identities=12),),
        )

    return evaluation


def weights(model) -> InitialWeights:
    return InitialWeights(digest=model.digest, source="facerecon-demo version 1", uri="")


def test_people_whom_the_champion_learned_from_are_left_out(offer, make_model, make_manifest, measured):
    offer(1, 20.0, faces=make_manifest({"Ada": "train", "person 3": "val"}))
    offer(2, 21.0, faces=make_manifest(), parent=make_model(1).digest)
    (found,) = comparisons(measured(2), make_manifest(), "demo", {"champion": weights(make_model(1))})
    assert (found.method, found.other, found.face_set) == ("champion", "demo/1", "test_new")
    assert (found.identities, found.faces, found.left_out) == (11, 22, 1)
    assert found.rows[0].gain == pytest.approx(1.0)


def test_where_nobody_knows_whom_a_version_learned_from_nothing_is_compared(offer, make_model, make_manifest, measured):
    offer(1, 20.0)
    offer(2, 21.0)
    connect().delete_model_version_tag("facerecon-demo", "1", "learned_record")
    (found,) = comparisons(measured(2), make_manifest(), "demo", {"champion": weights(make_model(1))})
    assert found.rows == ()
    assert "nobody knows whom both learned from" in found.obstacle


def test_a_training_is_compared_with_none(make_manifest, published_by):
    assert comparisons(published_by.evaluation(20.0), make_manifest(), "demo", {}) == ()
