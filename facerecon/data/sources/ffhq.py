"""Flickr-Faces-HQ (Karras et al., 2019): ``ffhq-dataset-v2.json`` beside the images in folders of a thousand."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from facerecon.data.companions import Companion, Gone
from facerecon.data.sources import Photo, SourceContext, files, register_source
from facerecon.errors import FaceReconError
from facerecon.images import UnreadableImageError, image_size

LIST = "ffhq-dataset-v2.json"

SIDE = 1024
"""Side in pixels of the images that the list's points are of."""

_FOLDER = re.compile(r"(?:images|thumbnails)(?P<side>\d+)x(?P=side)")
"""Where the images lie; of several such folders the one that is named for the largest is read."""

SPLITS = {"training": ("train",), "validation": ("val", "gate", "test")}
"""FFHQ's own partition: what it trains on is never evaluated on."""

_BLANKS = re.compile(r"[\s:,]*")

_OTHER_PHOTOS, _RECORDS = "in-the-wild-images", "tfrecords"


def companions(root: Path, gone: Gone) -> Iterator[Companion]:
    """What FFHQ has of photos beside them: the same ones in its other folders, and what its list says of them.

    Its tfrecords are not opened.
    """
    folders = [name for name in (*_folders(root), _OTHER_PHOTOS) if (root / name).is_dir()]
    paths = [PurePosixPath(uri) for uri in gone.uris]
    numbers = {path.stem for path in paths if _holds_photos(path.parts[0]) and path.stem.isdecimal()}
    if not numbers:
        return
    wanted = set(map(int, numbers))
    for folder in folders:
        yield from (Companion(path) for number, path in sorted(_numbered(files(root / folder))) if number in wanted)
    if (root / LIST).is_file():
        yield Companion(root / LIST, partial(_without_entries, where=root / LIST, numbers=numbers))
    if (root / _RECORDS).is_dir():
        yield Companion(root / _RECORDS, by_hand=True)


def beside(root: Path, uri: str) -> bool:
    """FFHQ's list, its records, and the same photos in its other folders."""
    top = PurePosixPath(uri).parts[0]
    return top in (LIST, _OTHER_PHOTOS, _RECORDS, *_folders(root)[1:])


@register_source(companions=companions, beside=beside)
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
    folder = next(iter(_folders(root)), None)
    if folder is None:
        raise FaceReconError(
            f"data.path {root}: no folder images1024x1024, of whatever size, there: download FFHQ's images"
        )
    held = {number: path.relative_to(root).as_posix() for number, path in _numbered(context.image_files(root / folder))}
    side = _side_of(root / held[min(held)]) if held else int(folder.partition("x")[2])
    with _judged(where):
        listed = json.loads(where.read_text(encoding="utf-8-sig"), object_hook=_shortened)
        photos = [
            _photo(held.get(int(number), _name(int(number), folder)), entry, side / SIDE)
            for number, entry in listed.items()
        ]
        if not photos:
            raise ValueError("it names no photo")
    yield from photos


def _without_entries(content: bytes, where: Path, numbers: set[str]) -> bytes:
    """The list without the entries of photos; what is between the others stays as it is written."""
    decoder, spans = json.JSONDecoder(object_hook=_shortened), list[tuple[int, int, bool]]()
    with _judged(where):
        text = content.decode("utf-8-sig")
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


def _folders(root: Path) -> list[str]:
    """The folders of images under ``root``, that of the largest first."""
    found = [(int(match["side"]), path.name) for path in root.iterdir() if (match := _FOLDER.fullmatch(path.name))]
    return [name for _, name in sorted(found, reverse=True) if (root / name).is_dir()]


def _holds_photos(folder: str) -> bool:
    return folder == _OTHER_PHOTOS or _FOLDER.fullmatch(folder) is not None


def _numbered(paths: Iterable[Path]) -> Iterator[tuple[int, Path]]:
    """Files with the numbers that are their names."""
    return ((int(path.stem), path) for path in paths if path.stem.isascii() and path.stem.isdigit())


def _side_of(path: Path) -> int:
    """The width of an image, whatever its folder says; SIDE of one that cannot be read."""
    try:
        return image_size(path)[0]
    except (OSError, UnreadableImageError):
        return SIDE


def _name(number: int, folder: str) -> str:
    return f"{folder}/{number // 1000 * 1000:05d}/{number:05d}.png"


def _shortened(found: dict[str, Any]) -> dict[str, Any]:
    """A part of the list without what is not used, as soon as it is read: all points of all faces would fill 1 GB."""
    if "face_landmarks" in found:
        eyes = found["face_landmarks"][36:48]
        return {"between_eyes": [sum(axis) / len(eyes) for axis in zip(*eyes, strict=True)]}
    kept = ("category", "metadata", "image", "photo_url", "license")
    return {name: value for name, value in found.items() if name in kept or name.isdecimal()}


def _photo(uri: str, entry: dict[str, Any], scale: float) -> Photo:
    category, about = entry["category"], entry["metadata"]
    x, y = entry["image"]["between_eyes"]
    page = about["photo_url"].rstrip("/").rpartition("/")[2]
    return Photo(
        uri=uri,
        identity=f"flickr-{page}-{category}" if page else None,
        splits=SPLITS[category],
        licence=about["license"],
        anchor=(x * scale, y * scale),
    )
