"""A manifest as an artifact: it comes back as it was; one of before quarantine had codes is still read."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from facerecon.data.manifest import PHOTO_COLUMNS, Manifest
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
    refused = quarantine_table([("b.png", Refusal(Code.NO_FACE, "no face found"))])
    return Manifest("/photos", pd.DataFrame([row]), refused, frames="/frames")


def test_it_comes_back_as_it_was(materializer: ManifestMaterializer) -> None:
    saved = manifest()
    materializer.save(saved)
    loaded = materializer.load(Manifest)
    assert loaded.digest == saved.digest
    assert (loaded.root, loaded.frames, loaded.store, loaded.size) == ("/photos", "/frames", "", 0)
    assert loaded.quarantine.equals(saved.quarantine)


def test_one_without_codes_is_read(materializer: ManifestMaterializer, tmp_path: Path) -> None:
    materializer.save(manifest())
    pd.DataFrame({"uri": ["b.png"], "reason": ["no face found"]}, dtype=str).to_parquet(tmp_path / "quarantine.parquet")
    assert json.loads((tmp_path / "manifest.json").read_text())["root"] == "/photos"
    assert materializer.load(Manifest).quarantine["code"].tolist() == ["unknown"]
