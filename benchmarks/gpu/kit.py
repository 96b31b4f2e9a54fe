"""The kit: aligned faces, frozen masks and the teachers' weights, in few small files."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from facerecon.corruption.frozen import MaskSet, load_mask_set
from facerecon.data.manifest import FACE_COLUMNS, PHOTO_COLUMNS, Manifest, SourceRoot
from facerecon.data.store import AlignedFace, AlignedPhoto, FaceStore, Measures, face_name
from facerecon.errors import FaceReconError
from facerecon.files import atomic_path, sha256_bytes

JPEG = [
    *(cv2.IMWRITE_JPEG_QUALITY, 95),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    *(cv2.IMWRITE_JPEG_OPTIMIZE, 1),
]
"""How crops are packed: in a third of their size as PNG, with their colours at full resolution."""

SHARD = 256
"""Faces in a file of the store."""


@dataclass(frozen=True)
class Kit:
    """``faces`` and ``masks`` as a training takes them; ``equal_crops`` is the share of crops whose pixels were decoded
    as they were when the kit was built (another JPEG library may round differently)."""

    faces: Manifest
    masks: MaskSet
    equal_crops: float

    def limited(self, most: int) -> "Kit":
        """The same with at most so many faces of each split, chosen by hash as they are."""
        rows = self.faces.faces.sort_values("face").groupby("split").head(most).reset_index(drop=True)
        return replace(self, faces=replace(self.faces, faces=rows))


def pack_faces(manifest: Manifest, folder: Path) -> None:
    """Write faces to ``folder``: pixels as JPEG, points, and rows that name neither people nor files."""
    store, rows = manifest.aligned_faces, manifest.faces.sort_values("face").reset_index(drop=True)
    content = [_encode(store.crop(face)) for face in rows["face"]]
    points = [store.few_points(face) for face in rows["face"]]
    sha256s = [sha256_bytes(jpeg) for jpeg in content]
    people = {name: f"person {index}" for index, name in enumerate(sorted(set(rows["identity"])))}
    packed = rows[[*PHOTO_COLUMNS, *FACE_COLUMNS]].copy()
    # each crop is a photo of its own here, so that faces are found by it
    packed["face"] = [face_name(sha256, 0) for sha256 in sha256s]
    packed["uri"] = [f"{index}.jpg" for index in range(len(rows))]
    packed["sha256"] = sha256s
    packed["source"] = "kit"
    packed["identity"] = rows["identity"].map(people)
    packed["clip"] = packed["track"] = packed["file"] = ""
    packed["crop_sha256"] = [sha256_bytes(_decode(jpeg).tobytes()) for jpeg in content]
    tensors = {
        "jpeg": np.frombuffer(b"".join(content), np.uint8),
        "ends": np.cumsum([len(jpeg) for jpeg in content]),
        "five": np.stack([five for five, _ in points]),
        "sixty_eight": np.stack([many for _, many in points]),
    }
    with atomic_path(folder / "faces.safetensors") as temporary:
        temporary.write_bytes(save(tensors))
    with atomic_path(folder / "faces.parquet") as temporary:
        packed.to_parquet(temporary)


def open_kit(folder: Path, about: dict[str, Any], state: Path) -> Kit:
    """Unpack the kit's faces into a store under ``state``, unless they are there.

    Raises:
        FaceReconError: a crop cannot be decoded, or the masks are not those that ``about`` names.
    """
    rows = pd.read_parquet(folder / "faces.parquet")
    store = state / f"faces-{about['files']['faces.safetensors'][:16]}"
    if not (store / "whole").is_file():
        _unpack(folder, rows, store)
        (store / "whole").touch()
    manifest = Manifest(rows, {"kit": SourceRoot("folder", "")}, store=str(store), size=int(about["size"]))
    crops = manifest.aligned_faces
    pairs = zip(rows["face"].tolist(), rows["crop_sha256"].tolist(), strict=True)
    same = [sha256_bytes(crops.crop(face).tobytes()) == sha256 for face, sha256 in pairs]
    return Kit(manifest, load_mask_set(folder / "masks", about["masks"]), float(np.mean(same)))


def _unpack(folder: Path, rows: pd.DataFrame, store: Path) -> None:
    tensors = load_file(folder / "faces.safetensors")
    content, ends = tensors["jpeg"].tobytes(), tensors["ends"].tolist()
    photos = []
    for index, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        row = rows.iloc[index]
        crop = _decode(content[start:end])
        face = AlignedFace(
            crop,
            tensors["five"][index],
            tensors["sixty_eight"][index],
            np.zeros((478, 3), np.float32),  # no mask of these families needs them
            np.frombuffer(bytes.fromhex(row["phash"]), np.uint8),
            np.zeros(crop.shape[:2], np.uint8),
            Measures(**{field.name: float(row[field.name]) for field in fields(Measures)}),
        )
        photos.append(AlignedPhoto(row["sha256"], None, [face]))
    for first in range(0, len(photos), SHARD):
        FaceStore.write(store, photos[first : first + SHARD])


def _encode(crop: NDArray[np.uint8]) -> bytes:
    done, jpeg = cv2.imencode(".jpg", crop[..., ::-1], JPEG)
    if not done:
        raise FaceReconError(f"a crop of {crop.shape[1]}x{crop.shape[0]} pixels could not be packed as JPEG")
    return jpeg.tobytes()


def _decode(jpeg: bytes) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise FaceReconError("a face of the kit cannot be decoded: build the kit again with `make gpu-kit`")
    return np.ascontiguousarray(image[..., ::-1])
