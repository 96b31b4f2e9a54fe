"""The five lights are what they are called, in balance, and change nothing of those who are drawn without them."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facerecon.drawn import Lighting
from facerecon.perception.landmarks import FaceLandmarker
from facerecon.synthetic import CanonicalMesh, Rendered, draw_identity, draw_scene, render, write_dataset
from facerecon.synthetic.lights import CONDITIONS, condition_of, under
from facerecon.weights import weights_path

PEOPLE = range(6)


@pytest.fixture(scope="module")
def model() -> Path:
    return weights_path("face_landmarker")


@pytest.fixture(scope="module")
def drawn(model: Path) -> dict[Lighting, list[Rendered]]:
    """Six people, turned to the camera, each under all five lights."""
    mesh = CanonicalMesh.load(model)
    found: dict[Lighting, list[Rendered]] = {}
    for name in Lighting:
        for person in PEOPLE:
            scene = replace(draw_scene(0, person, 0), yaw=0.0, pitch=0.0, roll=0.0)
            found.setdefault(name, []).append(render(mesh, draw_identity(0, person), under(scene, name), 128))
    return found


def luma(image: np.ndarray) -> np.ndarray:
    return np.asarray(image.astype(float) @ (0.299, 0.587, 0.114))


def at(rendered: Rendered, *points: int) -> float:
    """Mean luma round some of the 68 points."""
    gray, places = luma(rendered.image), np.rint(rendered.landmarks68[list(points), :2]).astype(int)
    return float(np.mean([gray[y - 1 : y + 2, x - 1 : x + 2].mean() for x, y in places]))


def face(rendered: Rendered) -> float:
    """Mean luma of nose, cheeks and mouth."""
    return at(rendered, 30, 31, 35, 48, 54, 3, 13)


def behind(rendered: Rendered) -> float:
    """The median luma of what is behind the person; hair is the smaller part of it."""
    return float(np.median(luma(rendered.image)[np.isinf(rendered.depth)]))


def sides(rendered: Rendered) -> float:
    """How much brighter the brighter half of the face is than the darker one, as a factor."""
    halves = at(rendered, 3, 4, 5, 48), at(rendered, 13, 12, 11, 54)
    return max(halves) / min(halves)


def test_light_from_the_side_leaves_one_side_dark(drawn: dict[Lighting, list[Rendered]]) -> None:
    assert np.median([sides(each) for each in drawn[Lighting.SIDE]]) > 2
    assert np.median([sides(each) for each in drawn[Lighting.FRONTAL]]) < 1.25


def test_light_from_above_throws_shadows_under_nose_and_chin(drawn: dict[Lighting, list[Rendered]]) -> None:
    def lower(rendered: Rendered) -> float:
        """The upper lip's middle below the nose beside the bridge of the nose."""
        return at(rendered, 51, 62) / at(rendered, 28, 29)

    pairs = zip(drawn[Lighting.TOP], drawn[Lighting.FRONTAL], strict=True)
    assert np.mean([lower(top) < 0.75 * lower(frontal) for top, frontal in pairs]) > 0.8


def test_light_from_behind_leaves_the_face_darker_than_what_is_behind(drawn: dict[Lighting, list[Rendered]]) -> None:
    for rendered in drawn[Lighting.BACK]:
        assert behind(rendered) > 180
        assert face(rendered) < 0.6 * behind(rendered)


def test_dim_light_is_dark_and_noisy(drawn: dict[Lighting, list[Rendered]]) -> None:
    def grain(rendered: Rendered) -> float:
        """Differences of neighbouring pixels behind the person, over the mean there."""
        gray, free = luma(rendered.image), np.isinf(rendered.depth)
        both = free[:, 1:] & free[:, :-1]
        return float(np.abs(np.diff(gray, axis=1))[both].mean() / gray[free].mean())

    for dim, frontal in zip(drawn[Lighting.DIM], drawn[Lighting.FRONTAL], strict=True):
        assert face(dim) < 80 < face(frontal)
        assert grain(dim) > 3 * grain(frontal)


def test_a_person_has_as_many_photographs_under_each_light_in_an_order_of_their_own() -> None:
    orders = [tuple(condition_of(3, person, photo) for photo in range(10)) for person in range(40)]
    for order in orders:
        assert Counter(order) == dict.fromkeys(Lighting, 2)
        assert set(order[:5]) == set(Lighting)
    assert len(set(orders)) > 30
    # with fewer photographs, no light is the first or the last more often
    firsts = Counter(condition_of(3, person, 0) for person in range(500))
    assert min(firsts.values()) > 70


def test_light_changes_nothing_else_of_a_photograph() -> None:
    scene = draw_scene(0, 4, 2)
    for name in Lighting:
        lit = under(scene, name)
        assert lit == under(scene, name)
        assert replace(lit, light=scene.light, camera=scene.camera) == scene
        assert lit.light.name == name
        camera = replace(lit.camera, exposure=scene.camera.exposure, shot=scene.camera.shot, read=scene.camera.read)
        assert camera == scene.camera
    assert set(CONDITIONS) == set(Lighting)


def test_a_set_with_lights_says_so_and_one_without_them_is_drawn_anew(model: Path, tmp_path: Path) -> None:
    def write(lit: bool) -> tuple[dict[str, object], bytes]:
        write_dataset(tmp_path, model, identities=1, photos=2, size=64, seed=0, workers=1, lit=lit)
        person = tmp_path / "person_0000"
        return json.loads((person / "truth.json").read_text()), (person / "photo_1.jpg").read_bytes()

    gentle, before = write(lit=False)
    truth, photo = write(lit=True)
    assert "lights" not in gentle
    assert truth["lights"] == 1
    assert photo != before
    photos = truth["photos"]
    assert isinstance(photos, dict)
    names = [photos[f"photo_{number}.jpg"]["scene"]["light"]["name"] for number in range(2)]
    assert names == [condition_of(0, 0, number) for number in range(2)]
    assert write(lit=True) == (truth, photo)
    assert write(lit=False) == (gentle, before)


@pytest.mark.slow
def test_faces_are_found_in_every_light(model: Path) -> None:
    mesh, found = CanonicalMesh.load(model), Counter[Lighting]()
    with FaceLandmarker(model) as landmarker:
        for person in range(20):
            for photo in range(5):
                name = condition_of(0, person, photo)
                scene = under(draw_scene(0, person, photo), name)
                found[name] += len(landmarker.detect(render(mesh, draw_identity(0, person), scene).image)) == 1
    assert min(found[name] for name in Lighting) >= 18
