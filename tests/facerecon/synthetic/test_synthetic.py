"""Sample faces: they are the same for the same seed, true to their truth, and read as faces by other networks."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from facerecon.errors import FaceReconError
from facerecon.perception.landmarks import FaceLandmarker, five_points, head_angles
from facerecon.synthetic import (
    CanonicalMesh,
    Identity,
    Lighting,
    Rendered,
    Scene,
    draw_identity,
    draw_scene,
    render,
    write_dataset,
)
from facerecon.synthetic.mesh import LOWER_LIDS, UPPER_LIDS, read_canonical
from facerecon.synthetic.people import HairStyle
from facerecon.weights import weights_path


@pytest.fixture(scope="module")
def model() -> Path:
    return weights_path("face_landmarker")


@pytest.fixture(scope="module")
def mesh(model: Path) -> CanonicalMesh:
    return CanonicalMesh.load(model)


def photograph(mesh: CanonicalMesh, seed: int, person: int, photo: int, size: int = 256) -> Rendered:
    return render(mesh, draw_identity(seed, person), draw_scene(seed, person, photo), size)


def changed(scene: Scene, **values: object) -> Scene:
    """``scene`` with other values."""
    return Scene(**{name: values.get(name, getattr(scene, name)) for name in Scene.__dataclass_fields__})


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_canonical_mesh_is_read_as_it_is(model: Path) -> None:
    points, triangles = read_canonical(model)
    assert points.shape == (468, 3)
    assert triangles.shape == (898, 3)
    assert set(triangles.ravel()) == set(range(468))
    assert points[1, 2] == pytest.approx(7.4759, abs=1e-3)  # the nose's tip points out of the face
    assert points[454, 0] == pytest.approx(-points[234, 0], abs=1e-4)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x05\x06" + bytes(18)])
def test_another_file_than_a_bundle_is_a_user_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "face_landmarker.task"
    path.write_bytes(content)
    with pytest.raises(FaceReconError, match=r"face_landmarker\.task"):
        CanonicalMesh.load(path)
    with pytest.raises(FaceReconError, match="absent"):
        CanonicalMesh.load(tmp_path / "absent")


def test_the_same_seed_gives_the_same_bytes(mesh: CanonicalMesh, model: Path) -> None:
    first = photograph(mesh, 5, 3, 1)
    photograph(mesh, 5, 4, 0)  # what was drawn between must not matter
    again = photograph(CanonicalMesh.load(model), 5, 3, 1)
    assert first.image.tobytes() == again.image.tobytes()
    assert first.landmarks.tobytes() == again.landmarks.tobytes()
    assert first.depth.tobytes() == again.depth.tobytes()


def test_seed_person_and_photo_each_change_the_picture(mesh: CanonicalMesh) -> None:
    pictures = [photograph(mesh, *keys, size=64).image for keys in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))]
    for other in pictures[1:]:
        assert np.abs(pictures[0].astype(int) - other).mean() > 5


def test_shape_and_skin_stay_with_the_person(mesh: CanonicalMesh) -> None:
    assert draw_identity(2, 7) == draw_identity(2, 7)
    assert draw_identity(2, 7) != draw_identity(2, 8)
    scenes = [draw_scene(2, 7, photo) for photo in range(8)]
    assert len({scene.yaw for scene in scenes}) == 8
    assert len({scene.hair.colour for scene in scenes}) == 8
    # with one and the same scene, what differs is the person alone
    still = changed(scenes[0], expression=(0.0,) * len(scenes[0].expression), yaw=0.0, pitch=0.0, roll=0.0)
    one, same, other = (render(mesh, draw_identity(2, k), still, 64) for k in (7, 7, 8))
    assert np.array_equal(one.landmarks, same.landmarks)
    assert np.abs(one.landmarks - other.landmarks)[:, :2].mean() > 0.3


def test_all_five_lights_and_all_hair_styles_occur_equally_or_often() -> None:
    scenes = [draw_scene(0, person, photo) for person in range(50) for photo in range(4)]
    names = [scene.light.name for scene in scenes]
    assert {name: names.count(name) for name in Lighting} == dict.fromkeys(Lighting, 40)
    assert {scene.hair.style for scene in scenes} == set(HairStyle)


def test_angles_stay_within_what_is_promised() -> None:
    scenes = [draw_scene(1, person, photo) for person in range(100) for photo in range(4)]
    assert max(abs(scene.yaw) for scene in scenes) <= 30
    assert max(abs(scene.pitch) for scene in scenes) <= 15
    assert max(abs(scene.roll) for scene in scenes) <= 10
    assert np.std([scene.yaw for scene in scenes]) > 8


def test_each_light_changes_the_face(mesh: CanonicalMesh) -> None:
    person, scene = draw_identity(0, 2), draw_scene(0, 2, 0)
    faces = {}
    for photo in range(5):
        light = draw_scene(0, 2, photo).light
        rendered = render(mesh, person, changed(scene, light=light), 128)
        x, y = np.rint(rendered.landmarks[:, :2].mean(axis=0)).astype(int)
        faces[light.name] = rendered.image[y - 25 : y + 25, x - 20 : x + 20].astype(float)
    assert set(faces) == set(Lighting)
    names = list(faces)
    for k, name in enumerate(names):
        for other in names[k + 1 :]:
            assert np.abs(faces[name] - faces[other]).mean() > 4, (name, other)
    # light from one side divides the face, light from the front does not
    halves = {name: abs(face[:, :20].mean() - face[:, 20:].mean()) for name, face in faces.items()}
    assert halves[Lighting.SIDE] > 2 * halves[Lighting.FRONTAL]


@pytest.mark.parametrize("size", [128, 256])
def test_landmarks_lie_on_the_depth_map(mesh: CanonicalMesh, size: int) -> None:
    inside, agreeing, total = 0, 0, 0
    # between the lips and the lids there are teeth and eyes, whose depth is their own
    rims = {index for lid in (*UPPER_LIDS, *LOWER_LIDS) for index in lid}
    for person in range(4):
        rendered = photograph(mesh, 3, person, person, size)
        assert rendered.landmarks.shape == (468, 3)
        assert rendered.landmarks68.shape == (68, 3)
        x, y, depth = rendered.landmarks.T
        inside += ((x > 0) & (x < size) & (y > 0) & (y < size)).sum()
        found = rendered.depth[np.clip(y, 0, size - 1).astype(int), np.clip(x, 0, size - 1).astype(int)]
        # nothing stands in front of the canonical face's middle but itself
        assert (depth[list(rims)] - found[list(rims)] < 3).all()
        # the rim of the head may fall onto the pixel beside it
        agreeing += (np.abs(found - depth) < 0.6).sum()
        total += len(depth)
    assert inside == total
    assert agreeing / total > 0.93


def test_depth_is_a_distance_and_infinite_behind_the_person(mesh: CanonicalMesh) -> None:
    rendered = photograph(mesh, 0, 1, 0)
    scene = draw_scene(0, 1, 0)
    assert rendered.depth.dtype == np.float32
    known = rendered.depth[np.isfinite(rendered.depth)]
    assert 0.2 < known.size / rendered.depth.size < 0.9
    assert scene.camera.distance - 15 < known.min() < known.max() < scene.camera.distance + 30
    assert np.isinf(rendered.depth[2, 2])
    # nearest of all landmarks is the nose
    assert rendered.landmarks[:, 2].argmin() in {1, 4, 5, 19, 44, 45, 274, 275, 94}


def test_a_turned_head_turns_its_points(mesh: CanonicalMesh) -> None:
    person, scene = draw_identity(0, 0), draw_scene(0, 0, 0)
    ahead, right, up = (
        render(mesh, person, changed(scene, roll=0.0, yaw=yaw, pitch=pitch), 128)
        for yaw, pitch in ((0.0, 0.0), (25.0, 0.0), (0.0, 14.0))
    )

    def nose(rendered: Rendered) -> np.ndarray:
        eyes = rendered.landmarks[[33, 263], :2].mean(axis=0)
        return rendered.landmarks[1, :2] - eyes

    assert nose(right)[0] > nose(ahead)[0] + 4
    assert nose(up)[1] < nose(ahead)[1] - 2
    assert (right.yaw, up.pitch) == (25.0, 14.0)


def test_sizes_that_cannot_be_drawn_are_user_errors(mesh: CanonicalMesh, model: Path, tmp_path: Path) -> None:
    with pytest.raises(FaceReconError, match="size is 32"):
        photograph(mesh, 0, 0, 0, size=32)
    with pytest.raises(FaceReconError, match="size is 2048"):
        write_dataset(tmp_path, model, identities=1, photos=1, size=2048)
    with pytest.raises(FaceReconError, match="identities=0"):
        write_dataset(tmp_path, model, identities=0)
    assert not list(tmp_path.iterdir())


def test_a_dataset_goes_on_where_it_was_and_mends_what_is_broken(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "faces"

    def write() -> dict[str, tuple[str, int]]:
        write_dataset(folder, model, identities=2, photos=2, size=64, seed=4, workers=1)
        times = {name: (folder / name).stat().st_mtime_ns for name in digests(folder)}
        return {name: (digest, times[name]) for name, digest in digests(folder).items()}

    first = write()
    assert len(first) == 2 * (2 + 1)
    assert write() == first
    cut, gone, stale = (
        folder / name for name in ("person_0000/photo_1.jpg", "person_0001/photo_0.jpg", "person_0001/truth.json")
    )
    cut.write_bytes(cut.read_bytes()[:100])
    gone.unlink()
    stale.write_text(json.dumps(json.loads(stale.read_text()) | {"version": -1}))
    (folder / "person_0000" / ".photo_1-left.jpg").write_bytes(b"half")  # as a killed run leaves it
    mended = write()
    assert {name: digest for name, (digest, _) in mended.items() if "left" not in name} == {
        name: digest for name, (digest, _) in first.items()
    }
    untouched = [name for name in first if name.startswith("person_0000/photo_0")]
    assert [mended[name] for name in untouched] == [first[name] for name in untouched]
    assert mended["person_0000/photo_1.jpg"][1] > first["person_0000/photo_1.jpg"][1]


def test_another_seed_is_drawn_anew_and_files_say_what_they_are(
    model: Path, tmp_path: Path, mesh: CanonicalMesh
) -> None:
    write_dataset(tmp_path, model, identities=1, photos=1, size=64, seed=0, workers=1)
    before = digests(tmp_path)
    write_dataset(tmp_path, model, identities=1, photos=1, size=64, seed=1, workers=1)
    assert not set(before.values()) & set(digests(tmp_path).values())
    expected = photograph(mesh, 1, 0, 0, size=64)
    person = tmp_path / "person_0000"
    picture = cv2.imread(str(person / "photo_0.jpg"))[..., ::-1]
    assert cv2.PSNR(np.ascontiguousarray(picture), expected.image) > 32  # small pictures are coarser than large ones
    truth = json.loads((person / "truth.json").read_text())
    assert truth["identity_number"] == 0
    photo = truth["photos"]["photo_0.jpg"]
    assert photo["sha256"] == hashlib.sha256((person / "photo_0.jpg").read_bytes()).hexdigest()
    assert np.allclose(photo["landmarks68"], expected.landmarks68[:, :2], rtol=0, atol=6e-4)
    assert photo["scene"]["light"]["name"] == expected.light.name
    assert photo["scene"]["yaw"] == expected.yaw


@pytest.mark.slow
def test_the_number_of_workers_does_not_change_the_bytes(model: Path, tmp_path: Path) -> None:
    for workers in (1, 2):
        write_dataset(tmp_path / str(workers), model, identities=3, photos=2, size=64, workers=workers)
    assert digests(tmp_path / "1") == digests(tmp_path / "2")


def found_faces(
    model: Path, mesh: CanonicalMesh, people: int, photos: int
) -> tuple[list[tuple[int, Rendered, np.ndarray, np.ndarray]], int]:
    """Photographs in which FaceLandmarker finds exactly one face, with its points and pose; and how many there were."""
    found = []
    with FaceLandmarker(model) as landmarker:
        for person in range(people):
            for photo in range(photos):
                rendered = photograph(mesh, 0, person, photo)
                faces = landmarker.detect(rendered.image)
                if len(faces) == 1:
                    found.append((person, rendered, *faces[0]))
    return found, people * photos


def landmark_error(rendered: Rendered, points: np.ndarray) -> float:
    """Mean distance of found points to the truth over the distance between the eyes."""
    eyes = [rendered.landmarks[list(pair), :2].mean(axis=0) for pair in ((33, 133), (263, 362))]
    distance = np.linalg.norm(points[:468, :2] - rendered.landmarks[:, :2], axis=1).mean()
    return float(distance / np.linalg.norm(eyes[0] - eyes[1]))


def test_a_landmarker_finds_the_faces_where_they_are(model: Path, mesh: CanonicalMesh) -> None:
    found, total = found_faces(model, mesh, people=5, photos=3)
    assert len(found) == total
    assert np.mean([landmark_error(rendered, points) for _, rendered, points, _ in found]) < 0.08
    angles = np.array([head_angles(matrix) for _, _, _, matrix in found])
    truth = np.array([(rendered.yaw, rendered.pitch, rendered.roll) for _, rendered, _, _ in found])
    assert np.abs(angles - truth).mean(axis=0).max() < 6


@pytest.mark.slow
def test_nearly_all_faces_are_found_also_when_small_and_persons_can_be_told_apart(
    model: Path, mesh: CanonicalMesh
) -> None:
    import torch

    from facerecon.perception import sface  # noqa: F401
    from facerecon.perception.identity import load_identity

    found, total = found_faces(model, mesh, people=30, photos=4)
    assert len(found) / total >= 0.98
    with FaceLandmarker(model) as landmarker:
        small = [cv2.resize(rendered.image, (128, 128), interpolation=cv2.INTER_AREA) for _, rendered, _, _ in found]
        assert sum(len(landmarker.detect(image)) == 1 for image in small) / total >= 0.98

    network = load_identity("sface")
    with torch.no_grad():
        embeddings = torch.cat(
            [
                network(
                    torch.from_numpy(rendered.image).permute(2, 0, 1)[None].float() / 127.5 - 1,
                    torch.from_numpy(five_points(points))[None],
                )
                for _, rendered, points, _ in found
            ]
        )
    cosine = (embeddings @ embeddings.T).numpy()
    people = np.array([person for person, _, _, _ in found])
    pairs = np.triu_indices(len(people), 1)
    same = (people[:, None] == people)[pairs]
    scores = cosine[pairs]
    # the area under the ROC curve: how often a pair of one person is closer than a pair of two
    ranks = np.argsort(np.argsort(scores)) + 1
    positives, negatives = same.sum(), (~same).sum()
    area = (ranks[same].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    assert area >= 0.95


def test_identity_is_plain_data() -> None:
    person: Identity = draw_identity(0, 0)
    assert json.loads(json.dumps(person.describe()))["skin"]["melanin"] == person.skin.melanin
    assert json.loads(json.dumps(draw_scene(0, 0, 0).describe()))["light"]["name"] in set(Lighting)
