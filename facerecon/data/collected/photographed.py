"""The people in photographs, as far as new tracks are compared with them: an embedding of each aligned face.

Embeddings are kept by the digest of the crop, so that a photograph is looked at once.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facerecon.data.collected.people import OldPerson
from facerecon.data.manifest import Manifest
from facerecon.files import atomic_path
from facerecon.perception.identity import load_identity
from facerecon.progress import track

_BATCH = 64

_NETWORK = "sface"


def photographed_people(manifest: Manifest, folder: Path) -> list[OldPerson]:
    """Everybody in an aligned manifest, with the embeddings of their faces; ``folder`` keeps these.

    The same embeddings as those of tracks: SFace, unit length.
    """
    path = folder / f"embeddings-{_NETWORK}-{manifest.size}.npz"
    known = _read(path)
    faces = manifest.faces.sort_values("face")
    missing = faces[~faces["crop_sha256"].isin(known)].drop_duplicates("crop_sha256")
    if len(missing):
        crops, names = missing["crop_sha256"].tolist(), missing["face"].tolist()
        known |= dict(zip(crops, _embedded(manifest, names), strict=True))
        now = sorted(set(faces["crop_sha256"]))
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, crops=np.array(now), embeddings=np.stack([known[crop] for crop in now]))
    return [
        OldPerson(
            tuple(sorted(set(rows["sha256"]))),
            rows["split"].iloc[0],
            np.stack([known[crop] for crop in rows["crop_sha256"]]),
        )
        for _, rows in faces.groupby("identity", sort=True)
    ]


def _embedded(manifest: Manifest, names: list[str]) -> NDArray[np.float32]:
    network, store = load_identity(_NETWORK), manifest.aligned_faces
    found = []
    for start in track(range(0, len(names), _BATCH), "embedding photographs' faces", -(-len(names) // _BATCH)):
        part = names[start : start + _BATCH]
        images = torch.from_numpy(store.crops(part, manifest.size).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1)
        points = torch.from_numpy(np.stack([store.few_points(name)[0] for name in part]))
        with torch.inference_mode():
            found.append(network.embed(images, points).numpy())
    return np.concatenate(found)


def _read(path: Path) -> dict[str, NDArray[np.float32]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(zip(stored["crops"].tolist(), stored["embeddings"], strict=True))
    except (OSError, ValueError, KeyError, EOFError):
        return {}
