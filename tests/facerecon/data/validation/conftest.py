"""A manifest of rows made by hand, good in every respect."""

from hashlib import sha256 as sha
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from facerecon.data.manifest import FACE_COLUMNS, PHOTO_COLUMNS, SPLITS, Manifest
from facerecon.data.store import MEASURES, AlignedFace, AlignedPhoto, FaceStore, Measures

MEASURED = {
    **{"box_x": 1.0, "box_y": 2.0, "box_width": 100.0, "box_height": 120.0, "quad": 150.0, "eyes": 40.0},
    **{"padding": 0.05, "yaw": 3.0, "pitch": -2.0, "roll": 1.0, "sharpness": 300.0, "brightness": 120.0},
}


def row(number: int) -> dict[str, Any]:
    """A good face: two photos a person, one person a split; no two look alike."""
    person, sha256 = number // 2, f"{number:064x}"
    phash = sha(str(number).encode()).hexdigest()[:16]
    photo = (sha256, f"p{person}/{number}.png", sha256, "folder", f"p{person}", SPLITS[person % 4], "MIT")
    none = ("", "", -1, np.nan, "", np.nan, np.nan)
    crop = (f"{number + 1000:064x}", phash, *(MEASURED[name] for name in MEASURES))
    return dict(zip([*PHOTO_COLUMNS, *FACE_COLUMNS], photo + none + crop, strict=True))


@pytest.fixture(scope="session")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a crop of noise for each of ``good``'s faces, of the last photo two: none is like another."""
    folder, none = tmp_path_factory.mktemp("crops"), np.zeros((478, 3), np.float32)
    measures = Measures(**{name: MEASURED[name] for name in MEASURES})
    photos = []
    for number in range(12):
        noise = np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        points = none[:5, :2], none[:68, :2], none
        face = AlignedFace(noise, *points, np.zeros(8, np.uint8), np.zeros((64, 64), np.uint8), measures)
        photos.append(AlignedPhoto(f"{number:064x}", None, [face] if number < 11 else [face, face]))
    FaceStore.write(folder, photos)
    return folder


@pytest.fixture
def good(crops: Path) -> Manifest:
    """Twelve faces of six people."""
    return Manifest(pd.DataFrame([row(number) for number in range(12)]), store=str(crops), size=64)
