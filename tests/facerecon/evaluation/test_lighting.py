"""Scores by light are the same scores, under the names of other face sets."""

import numpy as np

from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.lighting import scores_by_light, scores_by_luma
from facerecon.evaluation.scores import Scores

FACES = ("a", "b", "c", "d")


def scores() -> Scores:
    """Two metrics of two methods on four faces, and the gate's of faces of the same names."""
    found = Scores()
    for face_set, start in (("test", 0), ("gate", 100)):
        for metric in ("psnr", "ssim"):
            for method in ("model", "telea"):
                found.add(MetricKey(face_set, metric, "brush", 1), method, FACES, np.arange(4) + start)
    return found


def wanted(key: MetricKey, method: str) -> bool:
    return key.metric == "psnr" and method == "model"


def test_each_light_is_a_face_set_in_the_order_of_the_conditions() -> None:
    found = scores_by_light("test", scores(), FACES, ("side", "", "frontal", "side"), wanted)
    assert [
        (str(key), method, found.faces(key, method), found.values(key, method).tolist()) for key, method in found
    ] == [
        ("test_light_frontal/psnr/brush_level_1", "model", ("c",), [2]),
        ("test_light_side/psnr/brush_level_1", "model", ("a", "d"), [0, 3]),
    ]


def test_faces_whose_light_nobody_knows_have_no_such_scores() -> None:
    assert len(scores_by_light("test", scores(), FACES, None, wanted)) == 0
    assert len(scores_by_light("test", scores(), FACES, ("",) * 4, wanted)) == 0


def test_brightness_is_the_mean_luma_of_the_picture() -> None:
    # luma of pure green is 0.587 of 255, of pure blue 0.114
    colours = np.array([[0, 255, 0], [0, 0, 255], [255, 255, 255], [84, 84, 84]], np.uint8)
    images = np.broadcast_to(colours[:, None, None], (4, 8, 8, 3)).copy()
    found = scores_by_luma("test", scores(), FACES, images, wanted)
    assert {key.face_set: found.faces(key, method) for key, method in found} == {
        "test_dark": ("b", "d"),
        "test_medium": ("a",),
        "test_bright": ("c",),
    }
    assert found.values(MetricKey("test_dark", "psnr", "brush", 1), "model").tolist() == [1, 3]
