"""A manifest of faces that are no more than blobs, written as alignment writes it, and frozen masks for them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from facerecon import models
from facerecon.corruption.frozen import MaskSet, build_mask_set
from facerecon.data.images import write_png
from facerecon.data.manifest import FACE_COLUMNS, PHOTO_COLUMNS, Manifest
from facerecon.files import sha256_bytes
from facerecon.models import build_model
from facerecon.training.checkpoints import TrainedModel

SIZE = 64
COUNTS = {"train": 8, "val": 3, "gate": 2, "test": 3}


def blob_points68() -> np.ndarray:
    """68 points [68, 2] in pixels of a 64 px crop, where a face's parts lie when it is cut as the project cuts it."""
    points = np.zeros((68, 2), np.float32)
    angles = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([32 + 19 * np.cos(angles), 32 + 24 * np.sin(angles)], axis=1)
    points[17:22] = np.stack([np.linspace(16, 28, 5), np.full(5, 24)], axis=1)
    points[22:27] = np.stack([np.linspace(36, 48, 5), np.full(5, 24)], axis=1)
    points[27:31] = np.stack([np.full(4, 32), np.linspace(29, 39, 4)], axis=1)
    points[31:36] = np.stack([np.linspace(28, 36, 5), np.full(5, 41)], axis=1)
    ring = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    for start, count, x, y, width in ((36, 6, 23, 30, 4), (42, 6, 41, 30, 4), (48, 20, 32, 47, 8)):
        around = ring[:count] * 20 / count
        points[start : start + count] = np.stack([x - width * np.cos(around), y + width / 2 * np.sin(around)], axis=1)
    return points


def blob_face(rng: np.random.Generator) -> np.ndarray:
    """A smooth image uint8 [64, 64, 3] with a bright oval, two dark dots and a dark line where the points say."""
    ground = cv2.resize(rng.uniform(20, 120, (4, 4, 3)).astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    skin = rng.uniform(120, 230, 3).tolist()
    cv2.ellipse(ground, (32, 34), (19, 25), 0, 0, 360, skin, -1)
    for x in (23, 41):
        cv2.circle(ground, (x, 30), 3, (30, 30, 30), -1)
    cv2.line(ground, (26, 47), (38, 47), (90, 20, 20), 3)
    return np.clip(cv2.GaussianBlur(ground, (0, 0), 1), 0, 255).astype(np.uint8)


def write_blobs(store: Path, counts: dict[str, int]) -> Manifest:
    """A manifest of so many blobs per split, each of a person of its own, with crops and sidecars in ``store``."""
    rows = []
    for number, split in enumerate(split for split, count in counts.items() for _ in range(count)):
        shift = np.random.default_rng(number).integers(-4, 5, 2)
        image = np.roll(blob_face(np.random.default_rng(number)), shift, axis=(1, 0))
        points = blob_points68() + shift.astype(np.float32)
        sha = sha256_bytes(f"photo {number}".encode())
        crop = f"{sha[:2]}/{sha}-0.png"
        (store / crop).parent.mkdir(exist_ok=True, parents=True)
        write_png(store / crop, image)
        five = np.array([points[36:42].mean(0), points[42:48].mean(0), points[33], points[48], points[54]], np.float32)
        sidecar = {"points5": five, "points68": points, "landmarks": np.zeros((478, 3), np.float32)}
        np.savez((store / crop).with_name(f"{sha}.npz"), **{f"0/{name}": value for name, value in sidecar.items()})
        photo = (sha, f"{sha}.png", sha, "blobs", f"person {number}", split)
        rows.append((*photo, crop, sha256_bytes(image.tobytes()), *([0.0] * (len(FACE_COLUMNS) - 2))))
    faces = pd.DataFrame(rows, columns=[*PHOTO_COLUMNS, *FACE_COLUMNS])
    return Manifest(root="blobs", faces=faces, store=str(store), size=SIZE)


@pytest.fixture(scope="session")
def tiny_manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """16 blobs of 16 people at 64 px: 8 to train, 3 val, 2 gate, 3 test. Do not write to its store."""
    return write_blobs(tmp_path_factory.mktemp("blobs"), COUNTS)


@pytest.fixture(scope="session")
def tiny_model() -> TrainedModel:
    """An untrained attention U-Net of 4 and 8 channels, as if it had been trained for one step at 64 px."""
    return untrained({"features": [4, 8]}, seed=0)


def untrained(options: dict[str, Any], seed: int, family: str = "unet_attention", size: int = SIZE) -> TrainedModel:
    """Fresh weights of a family, with statistics of batch normalisations that are not those of a fresh network."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build_model(family, options)
        for name, value in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                value.copy_(torch.rand_like(value) + 0.5)
    weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    return TrainedModel(family, options, size, 1, weights)


@pytest.fixture(scope="session")
def tiny_masks(tmp_path_factory: pytest.TempPathFactory) -> MaskSet:
    """Eight frozen masks of each level, brush and held out, at 64 px."""
    return build_mask_set(tmp_path_factory.mktemp("masks"), SIZE, ["brush", "held_out"], [1, 2, 3], count=8)


@pytest.fixture
def registry() -> Iterator[None]:
    """Families registered by a test are forgotten after it."""
    before = dict(models._FAMILIES)
    yield
    models._FAMILIES.clear()
    models._FAMILIES.update(before)
