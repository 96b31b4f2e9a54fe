"""Truth beside a photo: a module outside the project registers a source that has named arrays for each."""

import importlib
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facerecon.data import alignment
from facerecon.data.alignment import AlignmentSettings, align
from facerecon.data.ingest import ingest
from facerecon.data.manifest import Manifest
from facerecon.data.settings import DataSettings
from facerecon.data.sources import SOURCES, image_files
from facerecon.errors import FaceReconError

Run = Callable[..., Manifest]

MODULE = """
import json
import numpy as np
from facerecon.data.sources import Photo, image_files, register_source


def truth(root, uri):
    lights = json.loads((root / "lights.json").read_text())
    return {"light": np.array(lights[uri], np.float32), "seen": np.array(uri.encode()[0])}


@register_source(truth=truth)
def lit(root, context):
    for path in image_files(root):
        uri = path.relative_to(root).as_posix()
        yield Photo(uri, path.parent.name)
"""


@pytest.fixture
def lit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a source that a module elsewhere has registered."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "lit_faces.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    for registry, name in ((SOURCES, "lit"), (sys.modules, "lit_faces")):
        monkeypatch.delitem(registry, name, raising=False)  # and again when the test is over
    importlib.import_module("lit_faces")
    return "lit"


@pytest.fixture
def root(sample_faces: Path, tmp_path: Path) -> Path:
    """Four photos and the direction of the light in each."""
    photos = sorted(image_files(sample_faces))[:4]
    root = tmp_path / "photos"
    for path in photos:
        target = root / path.relative_to(sample_faces)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    write_lights(root, {path.relative_to(sample_faces).as_posix(): [0.1, n, 1] for n, path in enumerate(photos)})
    return root


def write_lights(root: Path, lights: dict[str, list[float]]) -> None:
    (root / "lights.json").write_text(json.dumps(lights))


def lights_of(root: Path) -> dict[str, list[float]]:
    return dict(json.loads((root / "lights.json").read_text()))


@pytest.fixture
def run(root: Path, tmp_path: Path, landmark_model: Path) -> Run:
    """``run(source="lit", **alignment)`` lists and aligns the photos."""

    def run(source: str = "lit", **options: int) -> Manifest:
        photos = ingest(DataSettings(path=str(root), source=source), tmp_path, tmp_path / "frames")
        settings = AlignmentSettings(size=64, **{"workers": 1, **options})
        return align(photos, settings, landmark_model, tmp_path / "crops")

    return run


def test_truth_is_beside_each_face_and_crops_are_as_without(lit: str, root: Path, run: Run) -> None:
    manifest, plain = run(), run("folder")
    lights, store = lights_of(root), manifest.aligned_faces
    assert len(manifest.faces) == 4
    for row in manifest.faces.itertuples():
        assert store.truth(row.face, "light").tolist() == np.array(lights[row.uri], np.float32).tolist()
        assert store.truth(row.face, "seen").shape == ()
        assert np.array_equal(store.crop(row.face), plain.aligned_faces.crop(row.face))
    assert manifest.truth
    assert plain.truth == ""
    with pytest.raises(FaceReconError, match="has no truth 'light' beside it: its source gave none"):
        plain.aligned_faces.truth(plain.faces.loc[0, "face"], "light")


def test_truth_that_changes_is_read_again_and_makes_another_manifest(lit: str, root: Path, run: Run) -> None:
    first = run()
    shards = {path.name for path in Path(str(first.store)).glob("*.safetensors")}
    assert run().digest == first.digest
    assert {path.name for path in Path(str(first.store)).glob("*.safetensors")} == shards

    lights = lights_of(root)
    uri = next(iter(lights))
    write_lights(root, {**lights, uri: [0, 0, -1]})
    second = run()
    assert second.digest != first.digest
    face = second.faces.set_index("uri").loc[uri, "face"]
    assert second.aligned_faces.truth(face, "light").tolist() == [0, 0, -1]
    assert second.faces["crop_sha256"].equals(first.faces["crop_sha256"])


def test_a_photo_whose_truth_cannot_be_read_is_quarantined_until_it_can(lit: str, root: Path, run: Run) -> None:
    first = run()
    (root / "lights.json").rename(root / "gone.json")
    with pytest.raises(FaceReconError, match="truth beside the photo: cannot be read: No such file"):
        run()
    (root / "gone.json").rename(root / "lights.json")
    assert run().digest == first.digest


@pytest.mark.parametrize(("name", "value"), [("light", np.array(["left"])), ("Light!", np.zeros(3))])
def test_what_is_no_numbers_with_a_name_is_an_error(
    lit: str, run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    monkeypatch.setitem(SOURCES, "lit", replace(SOURCES["lit"], truth=lambda root, uri: {name: value}))
    with pytest.raises(FaceReconError, match=f"^truth beside person_.*: '{name}' is an array of .*must give numbers"):
        run()


@pytest.mark.slow
def test_worker_processes_find_a_source_that_they_did_not_register(
    lit: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = run()
    shutil.rmtree(tmp_path / "crops")
    monkeypatch.setattr(alignment, "PHOTOS_PER_WORKER", 2)
    several = run(workers=2)
    assert several.truth == alone.truth
    assert several.digest == alone.digest
