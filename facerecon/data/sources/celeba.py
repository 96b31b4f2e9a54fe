"""CelebA (Liu et al., 2015): aligned photos in a folder or a zip, with the lists of people and of the partition.

Everything may lie directly under the root or in CelebA's own folders Img, Anno and Eval.
"""

from collections.abc import Iterator
from pathlib import Path

from facerecon.data.containers import MEMBER, member_names
from facerecon.data.images import UnreadableImageError
from facerecon.data.sources import Photo, Workspace, register_source
from facerecon.errors import FaceReconError

SPLITS = {"0": ("train",), "1": ("val", "gate"), "2": ("test",)}
"""The official partition's training, validation and test."""

_FOLDERS = ("", "Img", "Anno", "Eval")


@register_source()
def celeba(root: Path, workspace: Workspace) -> Iterator[Photo]:
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
    photos = _photos(root)
    eyes = find(root, "list_landmarks_align_celeba.txt")
    anchors = dict(_anchors(eyes)) if eyes else {}
    for name, splits in partition.items():
        if name not in people:
            raise FaceReconError(f"identity_CelebA.txt under {root} does not name {name}: download it again")
        yield Photo(photos + name, people[name], splits, anchor=anchors.get(name))


def find(root: Path, name: str) -> Path | None:
    """The file or folder called ``name`` under ``root`` or in one of CelebA's folders there."""
    return next((path for folder in _FOLDERS if (path := root / folder / name).exists()), None)


def official_lists(root: Path) -> tuple[dict[str, str] | None, dict[str, tuple[str, ...]] | None]:
    """Of each photo its identity and the splits that the official partition allows; None for a list that is missing.

    Raises:
        FaceReconError: a list is in another format.
    """
    names, parts = find(root, "identity_CelebA.txt"), find(root, "list_eval_partition.txt")
    people = {photo: f"celeba-{person}" for photo, person in table(names, 2)} if names else None
    partition = {}
    for photo, part in table(parts, 2) if parts else ():
        if part not in SPLITS:
            raise FaceReconError(f"{parts}: {photo} is in the partition {part!r}, not in 0, 1 or 2: download it again")
        partition[photo] = SPLITS[part]
    return people, partition if parts else None


def table(path: Path, columns: int, header: int = 0) -> Iterator[list[str]]:
    """The rows of a list whose first column names a photo, without ``header`` lines.

    Raises:
        FaceReconError: it cannot be read, or a row has another number of columns or names a path.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FaceReconError(f"{path} cannot be read ({error}): download it again") from error
    for number, line in enumerate(lines[header:], header + 1):
        row = line.split()
        if row and (len(row) != columns or "/" in row[0]):
            raise FaceReconError(f"{path}, line {number}: not a photo and {columns - 1} values: download it again")
        if row:
            yield row


def _photos(root: Path) -> str:
    """What the photos' uris begin with."""
    folder, packed = find(root, "img_align_celeba"), find(root, "img_align_celeba.zip")
    if folder:
        return f"{folder.relative_to(root).as_posix()}/"
    if packed is None:
        raise FaceReconError(
            f"data.path {root}: neither img_align_celeba nor img_align_celeba.zip there (nor in Img/): download one"
        )
    try:
        inside = member_names(packed)
    except (OSError, UnreadableImageError) as error:
        raise FaceReconError(f"{packed}: {error}: download it again") from error
    start = "img_align_celeba/" if any(name.startswith("img_align_celeba/") for name in inside) else ""
    return f"{packed.relative_to(root).as_posix()}{MEMBER}{start}"


def _anchors(path: Path) -> Iterator[tuple[str, tuple[float, float]]]:
    """The point between the eyes of each photo; the first four of ten numbers are the eyes'."""
    for name, *values in table(path, 11, header=2):
        try:
            left_x, left_y, right_x, right_y = map(float, values[:4])
        except ValueError as error:
            raise FaceReconError(f"{path}: the points of {name} are no numbers: download it again") from error
        yield name, ((left_x + right_x) / 2, (left_y + right_y) / 2)
