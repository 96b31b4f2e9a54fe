"""Flickr-Faces-HQ (Karras et al., 2019): ``ffhq-dataset-v2.json`` beside the images in folders of a thousand."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from facerecon.data.companions import Companion, Gone
from facerecon.data.sources import Photo, SourceContext, register_source
from facerecon.errors import FaceReconError

LIST = "ffhq-dataset-v2.json"

FOLDERS = {"images1024x1024": 1024, "thumbnails128x128": 128}
"""Where the images lie, and their side in pixels; the first one that is there is read."""

SPLITS = {"training": ("train",), "validation": ("val", "gate", "test")}
"""FFHQ's own partition: what it trains on is never evaluated on."""

_BLANKS = re.compile(r"[\s:,]*")

_OTHER_PHOTOS, _RECORDS = "in-the-wild-images", "tfrecords"


def companions(root: Path, gone: Gone) -> Iterator[Companion]:
    """What FFHQ has of photos beside them: the same ones in its other folders, and what its list says of them.

    Its tfrecords are not opened.
    """
    folders = (*FOLDERS, _OTHER_PHOTOS)
    paths = [PurePosixPath(uri) for uri in gone.uris]
    numbers = {path.stem for path in paths if path.parts[0] in folders and path.stem.isdecimal()}
    if not numbers:
        return
    for number in sorted(map(int, numbers)):
        found = (root / _name(number, folder) for folder in folders)
        yield from (Companion(path) for path in found if path.is_file())
    if (root / LIST).is_file():
        yield Companion(root / LIST, partial(_without_entries, where=root / LIST, numbers=numbers))
    if (root / _RECORDS).is_dir():
        yield Companion(root / _RECORDS, by_hand=True)


@register_source(companions=companions)
def ffhq(root: Path, context: SourceContext) -> Iterator[Photo]:
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
    with _judged(where):
        listed = json.loads(where.read_bytes(), object_hook=_shortened)
        photos = [_photo(int(number), entry, folder) for number, entry in listed.items()]
        if not photos:
            raise ValueError("it names no photo")
    yield from photos


def _without_entries(content: bytes, where: Path, numbers: set[str]) -> bytes:
    """The list without the entries of photos; what is between the others stays as it is written."""
    decoder, spans = json.JSONDecoder(object_hook=_shortened), list[tuple[int, int, bool]]()
    with _judged(where):
        text = content.decode("utf-8")
        at = _after_blanks(text, text.index("{") + 1)
        while text[at] != "}":
            number, end = decoder.raw_decode(text, at)
            _, end = decoder.raw_decode(text, _after_blanks(text, end))
            spans.append((at, end, f"{int(number):05d}" in numbers))
            at = _after_blanks(text, end)
    kept = [text[start:end] for start, end, going in spans if not going]
    if len(kept) == len(spans):
        return content
    between = text[spans[0][1] : spans[1][0]] if len(spans) > 1 else ""
    return (text[: spans[0][0]] + between.join(kept) + text[spans[-1][1] :]).encode()


def _after_blanks(text: str, start: int) -> int:
    found = _BLANKS.match(text, start)
    assert found is not None, "it matches nothing too"
    return found.end()


@contextmanager
def _judged(where: Path) -> Iterator[None]:
    try:
        yield
    except (
        *(ValueError, TypeError, KeyError, IndexError, AttributeError),
        *(ZeroDivisionError, RecursionError),
    ) as error:
        what = f"{type(error).__name__}: {error}"
        raise FaceReconError(f"{where} is not FFHQ's list ({what}): download it again") from error


def _name(number: int, folder: str) -> str:
    return f"{folder}/{number // 1000 * 1000:05d}/{number:05d}.png"


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
        uri=_name(number, folder),
        identity=f"flickr-{page}-{category}" if page else None,
        splits=SPLITS[category],
        licence=about["license"],
        anchor=(x * scale, y * scale),
    )
