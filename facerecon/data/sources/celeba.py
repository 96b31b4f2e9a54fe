"""CelebA (Liu et al., 2015): aligned photos in a folder or a zip, with the lists of people and of the partition.

Everything may lie directly under the root or in CelebA's own folders Img, Anno and Eval.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from facerecon.data.companions import Companion, Gone, without_rows, words
from facerecon.data.containers import MEMBER, member_names
from facerecon.data.quarantine import Code, Refusal
from facerecon.data.sources import Photo, SourceContext, files, register_source
from facerecon.errors import FaceReconError
from facerecon.images import UnreadableImageError

SPLITS = {"0": ("train",), "1": ("val", "gate"), "2": ("test",)}
"""The official partition's training, validation and test."""

PHOTOS, IDENTITIES, PARTITION = "img_align_celeba", "identity_CelebA", "list_eval_partition"

_LISTS = (".txt", ".csv")

_FOLDERS = ("", "Img", "Anno", "Eval")

_OTHER_PHOTOS = ("img_celeba", "img_align_celeba_png")
"""Folders with other files of the same photos; they are not read."""


def companions(root: Path, gone: Gone) -> Iterator[Companion]:
    """What CelebA has of photos beside them: the same ones in its other folders, and rows in all its lists.

    Its 7z archives are not opened.
    """
    names = {PurePosixPath(uri).name for uri in gone.uris if PHOTOS in uri} | names_of(root, gone.people)
    for folder in filter(None, (find(root, other) for other in _OTHER_PHOTOS)):
        found = [folder / f"{PurePosixPath(name).stem}{suffix}" for name in names for suffix in (".jpg", ".png")]
        yield from (Companion(path) for path in found if path.is_file())
    yield from rows_of(root, names)
    if names:
        yield from (Companion(path, by_hand=True) for path in files(root) if ".7z" in path.suffixes)


def names_of(root: Path, people: frozenset[str]) -> set[str]:
    """The photos of people by CelebA's list of identities; none where it is missing or in another format."""
    where = find_list(root, IDENTITIES)
    if not where or not any(person.startswith("celeba-") for person in people):
        return set()
    rows = map(words, where.read_bytes().splitlines())
    return {row[0] for row in rows if len(row) == 2 and f"celeba-{row[1]}" in people}


def rows_of(root: Path, names: set[str]) -> Iterator[Companion]:
    """Lists in CelebA's folders that have rows about photos of these names, the list of identities as the last one:
    by it the photos of a person are found again."""
    lists = [path for folder in _FOLDERS for path in (root / folder).glob("*.*") if path.suffix in _LISTS]
    for path in sorted(lists, key=lambda path: (path.stem == IDENTITIES, path)) if names else ():
        yield Companion(path, partial(without_rows, named=lambda row: row[0] in names))


def beside(root: Path, uri: str) -> bool:
    """CelebA's lists, its photos in other folders, and the archives that its folders come in."""
    path = PurePosixPath(uri)
    return path.suffix in _LISTS or not set(_OTHER_PHOTOS).isdisjoint(path.parts) or _is_packed(path)


def _is_packed(path: PurePosixPath) -> bool:
    return path.name.startswith((PHOTOS, *_OTHER_PHOTOS)) and {".zip", ".7z"}.intersection(path.suffixes) != set()


@register_source(companions=companions, beside=beside)
def celeba(root: Path, context: SourceContext) -> Iterator[Photo]:
    """The photos of ``img_align_celeba/``, or of ``img_align_celeba.zip``, which is read in place.

    The partition's list says which there are; one that is not there is unreadable. With
    ``list_landmarks_align_celeba.txt`` the face is the one whose eyes it gives (``list_landmarks_celeba.txt`` belongs
    to the photos before they were aligned).

    Raises:
        FaceReconError: photos or lists are missing, or a list is in another format.
    """
    people, partition = official_lists(root)
    if people is None or partition is None:
        raise FaceReconError(
            f"data.path {root}: CelebA's list_eval_partition.txt and identity_CelebA.txt are not both there "
            "(nor in Anno/ and Eval/): download them beside the photos"
        )
    start, held = _photos(root)
    eyes = find_list(root, "list_landmarks_align_celeba")
    anchors = dict(_anchors(eyes)) if eyes else {}
    there = {photo_key(name): name for name in held}
    for name, splits in partition.items():
        key = photo_key(name)
        if key not in people:
            raise FaceReconError(f"{IDENTITIES}.txt under {root} does not name {name}: download it again")
        yield Photo(start + there.pop(key, name), people[key], splits, anchor=anchors.get(key))
    if MEMBER in start:
        for name in there.values():
            yield Photo(start + name, refused=Refusal(Code.NOT_LISTED, "not in the list"))


def photo_key(name: str) -> str:
    """What a photo of this name is found by: of a number the number, so that ``1.jpg`` and ``000001.jpg`` are one."""
    stem, dot, suffix = name.partition(".")
    return f"{int(stem)}{dot}{suffix}" if stem.isascii() and stem.isdigit() else name


def find(root: Path, name: str) -> Path | None:
    """The file or folder called ``name`` under ``root`` or in one of CelebA's folders there."""
    return next((path for folder in _FOLDERS if (path := root / folder / name).exists()), None)


def find_list(root: Path, name: str) -> Path | None:
    """CelebA's list of that name, as text or as a table (csv)."""
    return next((path for suffix in _LISTS if (path := find(root, f"{name}{suffix}"))), None)


def official_lists(root: Path) -> tuple[dict[str, str] | None, dict[str, tuple[str, ...]] | None]:
    """The identities by ``photo_key``, and by the photo's name the splits that the official partition allows; None for
    a list that is missing.

    Raises:
        FaceReconError: a list is in another format.
    """
    names, parts = find_list(root, IDENTITIES), find_list(root, PARTITION)
    people = {photo_key(photo): f"celeba-{person}" for photo, person in table(names, 2)} if names else None
    partition = {}
    for photo, part in table(parts, 2) if parts else ():
        if part not in SPLITS:
            raise FaceReconError(f"{parts}: {photo} is in the partition {part!r}, not in 0, 1 or 2: download it again")
        partition[photo] = SPLITS[part]
    return people, partition if parts else None


def table(path: Path, columns: int) -> Iterator[list[str]]:
    """The rows of a list whose first column names a photo or its number; lines above the first such row are a header.

    Blanks part the columns, or commas.

    Raises:
        FaceReconError: it cannot be read, or a row has another number of columns or names a path.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FaceReconError(f"{path} cannot be read ({error}): download it again") from error
    begun = False
    for number, line in enumerate(lines, 1):
        row = words(line.encode())
        begun = begun or (len(row) == columns and _names_photo(row[0]))
        if row and begun and (len(row) != columns or "/" in row[0] or not _names_photo(row[0])):
            raise FaceReconError(f"{path}, line {number}: not a photo and {columns - 1} values: download it again")
        if row and begun:
            yield row
    if not begun and any(line.strip() for line in lines):
        raise FaceReconError(f"{path}: no line is a photo and {columns - 1} values: download it again")


def _names_photo(word: str) -> bool:
    return word.isdigit() or PurePosixPath(word).suffix != ""


def _photos(root: Path) -> tuple[str, list[str]]:
    """What the photos' uris begin with, and the names of those that are there."""
    folder, packed = find(root, PHOTOS), find(root, f"{PHOTOS}.zip")
    if folder:
        return f"{folder.relative_to(root).as_posix()}/", sorted(path.name for path in folder.iterdir())
    if packed is None:
        raise FaceReconError(
            f"data.path {root}: neither img_align_celeba nor img_align_celeba.zip there (nor in Img/): download one"
        )
    try:
        inside = member_names(packed)
    except (OSError, UnreadableImageError) as error:
        raise FaceReconError(f"{packed}: {error}: download it again") from error
    start = f"{PHOTOS}/" if any(name.startswith(f"{PHOTOS}/") for name in inside) else ""
    names = [name.removeprefix(start) for name in inside if name.startswith(start)]
    return f"{packed.relative_to(root).as_posix()}{MEMBER}{start}", names


def _anchors(path: Path) -> Iterator[tuple[str, tuple[float, float]]]:
    """The point between the eyes of each photo; the first four of ten numbers are the eyes'."""
    for name, *values in table(path, 11):
        try:
            left_x, left_y, right_x, right_y = map(float, values[:4])
        except ValueError as error:
            raise FaceReconError(f"{path}: the points of {name} are no numbers: download it again") from error
        yield photo_key(name), ((left_x + right_x) / 2, (left_y + right_y) / 2)
