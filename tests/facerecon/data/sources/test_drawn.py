"""Drawn faces: who they are, the light of each, and nothing of it in the manifest of the same photos as a folder."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from facerecon.data.alignment import AlignmentSettings, align
from facerecon.data.companions import Gone
from facerecon.data.ingest import ingest
from facerecon.data.lighting import light_of
from facerecon.data.manifest import Manifest
from facerecon.data.settings import DataSettings
from facerecon.data.sources import SOURCES
from facerecon.drawn import Lighting
from facerecon.errors import FaceReconError
from facerecon.images import UnreadableImageError
from facerecon.synthetic import write_dataset

Run = Callable[..., Manifest]


@pytest.fixture
def root(sample_faces: Path, tmp_path: Path) -> Path:
    """Two people, two photos each."""
    for number in (0, 1):
        shutil.copytree(sample_faces / f"person_000{number}", tmp_path / "faces" / f"person_000{number}")
    return tmp_path / "faces"


@pytest.fixture
def run(root: Path, tmp_path: Path, landmark_model: Path) -> Run:
    """``run(source="drawn")`` lists and aligns the photos."""

    def run(source: str = "drawn") -> Manifest:
        photos = ingest(DataSettings(path=str(root), source=source), tmp_path, tmp_path / "frames")
        return align(photos, AlignmentSettings(size=64, workers=1), landmark_model, tmp_path / "crops")

    return run


def told(root: Path, uri: str) -> str:
    """The light of a photo as its truth file has it."""
    path = root / uri
    truth = json.loads((path.parent / "truth.json").read_text())
    return str(truth["photos"][path.name]["scene"]["light"]["name"])


def test_each_face_knows_its_light_and_as_a_folder_it_does_not(run: Run, root: Path) -> None:
    manifest, plain = run(), run("folder")
    faces = manifest.faces["face"].tolist()
    assert len(faces) == 4
    lights = light_of(manifest, faces)
    assert lights == tuple(told(root, uri) for uri in manifest.faces["uri"])
    assert len(set(lights)) > 1
    assert light_of(manifest, faces[1:2]) == lights[1:2]
    assert light_of(plain, faces) is None
    assert plain.truth == ""
    assert manifest.faces["crop_sha256"].tolist() == plain.faces["crop_sha256"].tolist()
    assert list(manifest.faces.columns) == list(plain.faces.columns)


def test_people_are_named_by_seed_and_number_wherever_they_lie(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "person_0001", root / "more" / "somebody")
    for path in (root / "more" / "somebody").glob("*.jpg"):
        path.write_bytes(path.read_bytes() + b"0")  # no duplicate by its bytes
    manifest = ingest(DataSettings(path=str(root), source="drawn"), tmp_path, tmp_path / "frames")
    assert dict(zip(manifest.faces["uri"].str.rpartition("/")[0], manifest.faces["identity"], strict=True)) == {
        "person_0000": "drawn-0-0",
        "person_0001": "drawn-0-1",
        "more/somebody": "drawn-0-1",
    }


def test_a_photo_that_the_truth_is_not_of_is_quarantined(run: Run, root: Path) -> None:
    swapped, unlisted = root / "person_0000/photo_0.jpg", root / "person_0001/photo_9.jpg"
    shutil.copy(root / "person_0001/photo_0.jpg", unlisted)
    unlisted.write_bytes(unlisted.read_bytes() + b"0")
    swapped.write_bytes(swapped.read_bytes() + b"0")
    rows = {row.uri: (row.code, row.reason) for row in run().quarantine.itertuples()}
    assert rows == {
        "person_0000/photo_0.jpg": ("bad_truth", "truth beside the photo: truth.json is of another photo"),
        "person_0001/photo_9.jpg": ("bad_truth", "truth beside the photo: truth.json says nothing of it"),
    }


@pytest.mark.parametrize("content", ["", "[]", '{"seed": 0}'], ids=["empty", "list", "nobody"])
def test_a_truth_that_names_nobody_is_an_error(run: Run, root: Path, content: str) -> None:
    (root / "person_0001/truth.json").write_text(content)
    with pytest.raises(FaceReconError, match=r"person_0001/truth\.json is no truth of drawn faces.*facerecon sample"):
        run()


def test_photos_without_truth_are_none_of_the_source(root: Path, tmp_path: Path) -> None:
    (root / "person_0001/truth.json").unlink()
    manifest = ingest(DataSettings(path=str(root), source="drawn"), tmp_path, tmp_path / "frames")
    assert set(manifest.faces["identity"]) == {"drawn-0-0"}
    (root / "person_0000/truth.json").unlink()
    with pytest.raises(FaceReconError, match=r"no photo with truth\.json beside it: .*set data\.source to 'folder'"):
        ingest(DataSettings(path=str(root), source="drawn"), tmp_path, tmp_path / "frames")


@pytest.mark.parametrize(
    ("value", "known"), [(np.array([0.1, 0.2, 1.0]), False), (np.array(1.0), False), (np.array(1, np.uint8), True)]
)
def test_a_truth_of_that_name_is_a_condition_only_as_one_integer(
    run: Run, monkeypatch: pytest.MonkeyPatch, value: np.ndarray, known: bool
) -> None:
    monkeypatch.setitem(SOURCES, "drawn", replace(SOURCES["drawn"], truth=lambda root, uri: {"light": value}))
    manifest = run()
    faces = manifest.faces["face"].tolist()
    assert light_of(manifest, faces) == (("side",) * 4 if known else None)


def test_a_condition_that_there_is_not_is_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"light": np.array(len(Lighting))}
    monkeypatch.setitem(SOURCES, "drawn", replace(SOURCES["drawn"], truth=lambda root, uri: told))
    manifest = run()
    with pytest.raises(FaceReconError, match=r"truth 'light' of face .* is 5: its source must give 0 to 4"):
        light_of(manifest, manifest.faces["face"].tolist())


def test_the_places_of_the_conditions_in_stored_truth_do_not_change() -> None:
    assert list(Lighting) == ["frontal", "side", "top", "back", "dim"]


@pytest.fixture
def shaped(tmp_path: Path, landmark_model: Path) -> Path:
    """A person with two photos and their shape."""
    write_dataset(tmp_path / "shaped", landmark_model, 1, 2, 128, 0, 1, shape=True)
    return tmp_path / "shaped"


def test_the_shape_is_truth_beside_a_photo(shaped: Path) -> None:
    truth = SOURCES["drawn"].truth
    assert truth is not None
    found = truth(shaped, "person_0000/photo_1.jpg")
    assert {name: array.shape for name, array in found.items()} == {
        "light": (),
        "landmarks": (68, 3),
        "vertices": (468, 3),
        "depth": (64, 64),
        "focal": (),
    }
    other = truth(shaped, "person_0000/photo_0.jpg")
    assert not np.array_equal(found["landmarks"], other["landmarks"])


def test_a_shape_of_another_photo_is_refused(shaped: Path) -> None:
    truth = SOURCES["drawn"].truth
    assert truth is not None
    person = shaped / "person_0000"
    held = dict(np.load(person / "shape.npz"))
    held["photo_0.landmarks"] = held["photo_1.landmarks"]
    np.savez(person / "shape.npz", **held)
    with pytest.raises(UnreadableImageError, match=r"shape.npz is of another photo"):
        truth(shaped, "person_0000/photo_0.jpg")
    (person / "shape.npz").write_bytes(b"no archive")
    with pytest.raises(UnreadableImageError, match=r"shape.npz cannot be read"):
        truth(shaped, "person_0000/photo_1.jpg")


def test_what_is_forgotten_takes_its_shape_along(shaped: Path) -> None:
    companions = SOURCES["drawn"].companions
    assert companions is not None
    for companion in companions(shaped, Gone(frozenset({"person_0000/photo_0.jpg"}))):
        assert companion.without is not None
        companion.path.write_bytes(companion.without(companion.path.read_bytes()))
        assert companion.without(companion.path.read_bytes()) == companion.path.read_bytes()
    with np.load(shaped / "person_0000" / "shape.npz") as held:
        assert {key.partition(".")[0] for key in held} == {"photo_1"}
    truth = SOURCES["drawn"].truth
    assert truth is not None
    assert "landmarks" in truth(shaped, "person_0000/photo_1.jpg")


def test_what_is_asked_for_and_missing_is_drawn_at_ingest(tmp_path: Path) -> None:
    settings = DataSettings.model_validate(
        {"source": "drawn", "path": "faces", "draw": {"people": 2, "photos": 1, "size": 64, "workers": 1}}
    )
    first = ingest(settings, tmp_path, tmp_path / "frames")
    assert len(first.faces) == 2
    photo = tmp_path / "faces" / first.faces["uri"].iloc[0]
    state = photo.stat().st_mtime_ns
    (tmp_path / "faces" / first.faces["uri"].iloc[1]).unlink()
    again = ingest(settings, tmp_path, tmp_path / "frames")
    assert again.faces["sha256"].tolist() == first.faces["sha256"].tolist()
    assert photo.stat().st_mtime_ns == state, "what is there stays"


def test_only_the_drawn_source_draws() -> None:
    with pytest.raises(ValidationError, match="drawn for the source drawn, not for folder"):
        DataSettings.model_validate({"source": "folder", "draw": {"people": 2}})
