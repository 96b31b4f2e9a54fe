"""Labeled Faces in the Wild (Huang et al., 2007): ``<First_Last>/<First_Last>_<0001>.jpg``, and its published pairs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from facerecon.data.sources import Photo, Workspace, image_files, register_source
from facerecon.errors import FaceReconError

_NAME = re.compile(r"(?P<person>.+)_\d{4}")


@register_source()
def lfw(root: Path, workspace: Workspace) -> Iterator[Photo]:
    """Photos in LFW's layout; LFW names no train and test people of its own for reconstruction.

    Raises:
        FaceReconError: no file under ``root`` is named as LFW names them.
    """
    found = False
    for path in image_files(root):
        match = _NAME.fullmatch(path.stem)
        if match and match["person"] == path.parent.name:
            found = True
            yield Photo(path.relative_to(root).as_posix(), match["person"])
    if not found:
        raise FaceReconError(
            f"data.path {root}: no file named <Person>/<Person>_0001.jpg as in LFW: "
            "give the folder that holds one folder per person, or set data.source to 'folder'"
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photos by their paths below LFW's folder, whether they show one person, and the fold, from 0."""

    first: str
    second: str
    same: bool
    fold: int


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a file in LFW's own format: folds, for each so many matched and then mismatched pairs.

    ``pairs.txt`` (View 2) states folds and pairs in its first line; ``pairsDevTrain.txt`` and ``pairsDevTest.txt``
    (View 1) only pairs: they are one fold.

    Raises:
        FaceReconError: the file is missing or in another format.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FaceReconError(f"LFW's pairs {path} cannot be read ({error}): give its pairs.txt") from error
    rows = [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip()]
    heading = rows.pop(0)[1] if rows else []
    if len(heading) not in (1, 2) or not all(_is_number(word) for word in heading):
        raise FaceReconError(f"{path}: the first line is no number of folds and pairs: give LFW's pairs.txt")
    folds, each = map(int, heading) if len(heading) == 2 else (1, int(heading[0]))
    if len(rows) != folds * each * 2:
        raise FaceReconError(f"{path} announces {folds * each * 2} pairs and has {len(rows)}: download it again")
    return [_pair(row, index // (2 * each), f"{path}, line {number}") for index, (number, row) in enumerate(rows)]


def _pair(row: list[str], fold: int, where: str) -> Pair:
    match row:
        case [person, first, second] if _is_number(first) and _is_number(second):
            return Pair(_photo(person, first), _photo(person, second), True, fold)
        case [person, first, other, second] if _is_number(first) and _is_number(second):
            return Pair(_photo(person, first), _photo(other, second), False, fold)
    raise FaceReconError(f"{where}: no pair of photos (person, two numbers; or twice a person and a number)")


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit()


def _photo(person: str, number: str) -> str:
    return f"{person}/{person}_{int(number):04d}.jpg"
