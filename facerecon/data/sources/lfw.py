"""Labeled Faces in the Wild (Huang et al., 2007): ``<First_Last>/<First_Last>_<0001>.jpg``, and its published pairs."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from facerecon.data.companions import Companion, Gone, with_last_number, without_rows, words
from facerecon.data.sources import Photo, SourceContext, files, register_source
from facerecon.errors import FaceReconError

_NAME = re.compile(r"(?P<person>.+)_\d{4}")


def companions(root: Path, gone: Gone) -> Iterator[Companion]:
    """LFW's lists anywhere under ``root``, of pairs and of people: rows that name a photo or a person."""
    photos = {"/".join(PurePosixPath(uri).parts[-2:]) for uri in gone.uris}

    def named(row: list[str]) -> bool:
        return not (gone.people.isdisjoint(row) and photos.isdisjoint(_photos_of(row)))

    for path in files(root):
        if path.suffix in (".txt", ".csv"):
            pairs = path.suffix == ".txt" and path.name.startswith("pairs")
            yield Companion(path, partial(_without_pairs if pairs else without_rows, named=named))


def beside(root: Path, uri: str) -> bool:
    """LFW's lists of pairs and of people."""
    return PurePosixPath(uri).suffix in (".txt", ".csv")


@register_source(companions=companions, beside=beside)
def lfw(root: Path, context: SourceContext) -> Iterator[Photo]:
    """Photos in LFW's layout; LFW names no train and test people of its own for reconstruction.

    Raises:
        FaceReconError: no file under ``root`` is named as LFW names them.
    """
    found = False
    for path in context.image_files(root):
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
        lines = path.read_text(encoding="utf-8-sig").splitlines()
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


def _without_pairs(content: bytes, named: Callable[[list[str]], bool]) -> bytes:
    """A list of pairs without the rows that are named. All folds have as many matched as mismatched pairs: of each as
    many are kept, from the first on, as are left where most were named. Another format is taken for rows alone."""
    rows = [line for line in content.splitlines(keepends=True) if line.strip()]
    heading = words(rows[0]) if rows else []
    if len(heading) not in (1, 2) or not all(map(_is_number, heading)):
        return without_rows(content, named)
    folds, each = map(int, heading) if len(heading) == 2 else (1, int(heading[0]))
    if len(rows) != 1 + folds * each * 2:
        return without_rows(content, named)
    groups = [rows[1 + start * each : 1 + (start + 1) * each] for start in range(2 * folds)]
    kept = [[row for row in group if not named(words(row))] for group in groups]
    least = min(map(len, kept), default=0)
    if least == each:
        return content
    return with_last_number(rows[0], least) + b"".join(row for group in kept for row in group[:least])


def _pair(row: list[str], fold: int, where: str) -> Pair:
    match _photos_of(row):
        case [first, second]:
            return Pair(first, second, len(row) == 3, fold)
    raise FaceReconError(f"{where}: no pair of photos (person, two numbers; or twice a person and a number)")


def _photos_of(row: list[str]) -> list[str]:
    """The two photos that a row of a list of pairs names; none if it is no such row."""
    match row:
        case [person, first, second] if _is_number(first) and _is_number(second):
            return [_photo(person, first), _photo(person, second)]
        case [person, first, other, second] if _is_number(first) and _is_number(second):
            return [_photo(person, first), _photo(other, second)]
    return []


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit()


def _photo(person: str, number: str) -> str:
    return f"{person}/{person}_{int(number):04d}.jpg"
