"""Flickr-Faces-HQ (Karras et al., 2019): ``ffhq-dataset-v2.json`` beside the images in folders of a thousand."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facerecon.data.sources import Photo, Workspace, register_source
from facerecon.errors import FaceReconError

LIST = "ffhq-dataset-v2.json"

FOLDERS = {"images1024x1024": 1024, "thumbnails128x128": 128}
"""Where the images lie, and their side in pixels; the first one that is there is read."""

SPLITS = {"training": ("train",), "validation": ("val", "gate", "test")}
"""FFHQ's own partition: what it trains on is never evaluated on."""


@register_source()
def ffhq(root: Path, workspace: Workspace) -> Iterator[Photo]:
    """All photos that FFHQ lists, each with its own licence; one that is listed and not there is unreadable.

    Nobody is named. Faces out of one photograph on Flickr share an identity, so that it is never in two splits; only
    where FFHQ itself puts them into both categories they are two identities.

    Raises:
        FaceReconError: the list or the images are missing, or the list is not FFHQ's.
    """
    where = root / LIST
    if not where.is_file():
        raise FaceReconError(f"data.path {root}: no {LIST} there: download FFHQ's list beside the images")
    folder = next((name for name in FOLDERS if (root / name).is_dir()), None)
    if folder is None:
        raise FaceReconError(f"data.path {root}: no folder {' or '.join(FOLDERS)} there: download FFHQ's images")
    try:
        listed = json.loads(where.read_bytes(), object_hook=_shortened)
        photos = [_photo(int(number), entry, folder) for number, entry in listed.items()]
        if not photos:
            raise ValueError("it names no photo")
    except (ValueError, TypeError, KeyError, AttributeError, ZeroDivisionError, RecursionError) as error:
        what = f"{type(error).__name__}: {error}"
        raise FaceReconError(f"{where} is not FFHQ's list ({what}): download it again") from error
    yield from photos


def _shortened(found: dict[str, Any]) -> dict[str, Any]:
    """A part of the list without what is not used, as soon as it is read: all points of all faces would fill 1 GB."""
    if "face_landmarks" in found:
        eyes = found["face_landmarks"][36:48]
        return {"between_eyes": [sum(axis) / len(eyes) for axis in zip(*eyes, strict=True)]}
    kept = ("category", "metadata", "image", "photo_url", "license")
    return {name: value for name, value in found.items() if name in kept or name.isdecimal()}


def _photo(number: int, entry: dict[str, Any], folder: str) -> Photo:
    category, about = entry["category"], entry["metadata"]
    scale, (x, y) = FOLDERS[folder] / 1024, entry["image"]["between_eyes"]
    page = about["photo_url"].rstrip("/").rpartition("/")[2]
    return Photo(
        uri=f"{folder}/{number // 1000 * 1000:05d}/{number:05d}.png",
        identity=f"flickr-{page}-{category}" if page else None,
        splits=SPLITS[category],
        licence=about["license"],
        anchor=(x * scale, y * scale),
    )
