"""A manifest as an artifact: it comes back as it was; one of before quarantine had codes is still read."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from facerecon.data.manifest import PHOTO_COLUMNS, Manifest, SourceRoot
from facerecon.data.quarantine import Code, Refusal, quarantine_table
from ops.materializers.manifest import ManifestMaterializer


class Local:
    """An artifact store of local files."""

    open = staticmethod(open)


@pytest.fixture
def materializer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ManifestMaterializer:
    monkeypatch.setattr(ManifestMaterializer, "artifact_store", Local())
    return ManifestMaterializer(str(tmp_path))


def manifest() -> Manifest:
    blank = dict.fromkeys(PHOTO_COLUMNS, "") | dict.fromkeys(("time", "anchor_x", "anchor_y"), math.nan)
    row = {**blank, "face": "f", "uri": "a.png", "sha256": "f", "source": "folder", "split": "train", "frame": -1}
    refused = quarantine_table([("folder", "b.png", Refusal(Code.NO_FACE, "no face found"))])
    return Manifest(pd.DataFrame([row]), {"folder": SourceRoot("folder", "/photos")}, refused, frames="/frames")


def test_it_comes_back_as_it_was(materializer: ManifestMaterializer) -> None:
    saved = manifest()
    materializer.save(saved)
    loaded = materializer.load(Manifest)
    assert loaded.digest == saved.digest
    assert (loaded.sources, loaded.frames, loaded.store, loaded.size) == (saved.sources, "/frames", "", 0)
    assert loaded.quarantine.equals(saved.quarantine)


def test_its_face_sets_come_back(materializer: ManifestMaterializer) -> None:
    saved = replace(manifest(), face_sets={"gate_old": ("f", "g"), "gate_new": ()})
    materializer.save(saved)
    loaded = materializer.load(Manifest)
    assert loaded.face_sets == saved.face_sets
    assert loaded.sets_digest == saved.sets_digest != manifest().sets_digest
    # what is computed from other sets must not come from the cache
    content = materializer.compute_content_hash
    assert content(loaded) == content(saved) != content(manifest())


def test_one_of_several_sources_comes_back(materializer: ManifestMaterializer) -> None:
    sources = {"clips": SourceRoot("footage", "/clips"), "photos": SourceRoot("folder", "/photos")}
    saved = replace(manifest(), sources=sources, store={"clips": "/a", "photos": "/b"}, size=64, truth="t")
    materializer.save(replace(saved, faces=saved.faces.assign(source="photos", crop_sha256="c")))
    loaded = materializer.load(Manifest)
    assert (loaded.sources, loaded.store, loaded.truth) == (sources, {"clips": "/a", "photos": "/b"}, "t")
    content = materializer.compute_content_hash(loaded)
    assert content != materializer.compute_content_hash(replace(loaded, store={"clips": "/a", "photos": "/c"}))


def test_one_of_before_codes_and_several_sources_is_read(materializer: ManifestMaterializer, tmp_path: Path) -> None:
    saved = manifest()
    materializer.save(saved)
    about = {"root": "/photos", "frames": "/frames", "store": "", "size": 0}
    (tmp_path / "manifest.json").write_text(json.dumps(about))
    pd.DataFrame({"uri": ["b.png"], "reason": ["no face found"]}, dtype=str).to_parquet(tmp_path / "quarantine.parquet")
    loaded = materializer.load(Manifest)
    assert loaded.sources == saved.sources
    assert loaded.quarantine.to_numpy().tolist() == [["folder", "b.png", "unknown", "no face found"]]
