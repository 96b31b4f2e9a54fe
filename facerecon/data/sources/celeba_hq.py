"""CelebA-HQ with labelled parts of the face, as CelebAMask-HQ lays it out (Lee et al., 2020).

``CelebA-HQ-img/0.jpg``, ``CelebAMask-HQ-mask-anno/0/00000_skin.png`` and ``CelebA-HQ-to-CelebA-mapping.txt``, directly
under the root or in a folder ``CelebAMask-HQ`` there; CelebA's own lists, where they lie under the root as well, say
who is who and which part of the official partition a photo is in.
"""

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from facerecon.data.companions import Companion, Gone, without_rows, words
from facerecon.data.parts import PART_LABELS
from facerecon.data.quarantine import Code, Refusal
from facerecon.data.sources import Photo, SourceContext, register_source
from facerecon.data.sources.celeba import names_of, official_lists, photo_key, rows_of, table
from facerecon.errors import FaceReconError
from facerecon.images import UnreadableImageError, read_rgb

LOG = logging.getLogger(__name__)

IMAGES, ANNOTATIONS, MAPPING = "CelebA-HQ-img", "CelebAMask-HQ-mask-anno", "CelebA-HQ-to-CelebA-mapping.txt"


def parts(root: Path, uri: str) -> NDArray[np.uint8] | None:
    """The labels of a photo's parts, uint8 [512, 512]: 0, or one more than the part's index in ``PART_LABELS``.

    Where parts overlap the later one counts, as in CelebAMask-HQ's own script. None where the photo has none.

    Raises:
        UnreadableImageError: one of its files is broken, or of another size than the others.
    """
    number, folder = int(Path(uri).stem), (root / uri).parent.parent / ANNOTATIONS
    labels: NDArray[np.uint8] | None = None
    for label, name in enumerate(PART_LABELS, 1):
        path = folder / str(number // 2000) / f"{number:05d}_{name}.png"
        if not path.is_file():
            continue
        inside = read_rgb(path)[..., 0] > 0
        if labels is None:
            labels = np.zeros(inside.shape, np.uint8)
        if labels.shape != inside.shape:
            raise UnreadableImageError(f"{name}: a map of {inside.shape[1]}x{inside.shape[0]} pixels among others")
        labels[inside] = label
    return labels


def companions(root: Path, gone: Gone) -> Iterator[Companion]:
    """What lies beside photos of CelebA-HQ: maps of their parts, rows in its own lists, those in CelebA's about the
    photos that they were made of, and at last the mapping between both, by which those are found."""
    numbers = {PurePosixPath(uri).stem for uri in gone.uris if PurePosixPath(uri).parent.name == IMAGES}
    names, tops = names_of(root, gone.people), _tops(root)
    mappings = [path for top in tops if (path := top / MAPPING).is_file()]
    rows = [row for path in mappings for row in map(words, path.read_bytes().splitlines()) if len(row) == 3]
    numbers |= {number for number, _, original in rows if original in names}
    names |= {original for number, _, original in rows if number in numbers}
    for top in tops:
        for number in sorted(map(int, filter(str.isdecimal, numbers))):
            found = (top / ANNOTATIONS / str(number // 2000)).glob(f"{number:05d}_*.png")
            yield from map(Companion, sorted(found))
        for path in sorted(top.glob("CelebAMask-HQ-*-anno.txt")):
            yield Companion(path, partial(without_rows, named=lambda row: PurePosixPath(row[0]).stem in numbers))
    yield from rows_of(root, names)
    for path in mappings:
        yield Companion(path, partial(without_rows, named=lambda row: row[0] in numbers))


def beside(root: Path, uri: str) -> bool:
    """The lists, and the maps of parts."""
    path = PurePosixPath(uri)
    return path.suffix in (".txt", ".csv") or ANNOTATIONS in path.parts


@register_source(parts, companions, beside=beside)
def celeba_hq(root: Path, context: SourceContext) -> Iterator[Photo]:
    """The photos of CelebA-HQ; without CelebA's lists nobody is known, and all splits are allowed.

    Raises:
        FaceReconError: there is no such folder under ``root``, or a list is in another format.
    """
    top = next((top for top in _tops(root) if (top / IMAGES).is_dir()), None)
    if top is None:
        raise FaceReconError(f"data.path {root}: no folder {IMAGES} there: give the folder of CelebAMask-HQ")
    known = _known(root, top / MAPPING)
    if known is None:
        LOG.warning(
            "celeba_hq: without %s, identity_CelebA and list_eval_partition nobody is known: "
            "photos of one person can come into two splits",
            MAPPING,
        )
    for path in context.image_files(top / IMAGES):
        uri = path.relative_to(root).as_posix()
        if not (path.stem.isascii() and path.stem.isdigit()):
            continue
        if known is None:
            yield Photo(uri)
        elif int(path.stem) in known:
            yield Photo(uri, *known[int(path.stem)])
        else:
            yield Photo(uri, refused=Refusal(Code.NOT_LISTED, "CelebA's lists do not say who it is"))


def _tops(root: Path) -> tuple[Path, Path]:
    """Where CelebAMask-HQ's folders and lists may lie."""
    return root, root / "CelebAMask-HQ"


def _known(root: Path, mapping: Path) -> dict[int, tuple[str, tuple[str, ...]]] | None:
    """Identity and allowed splits by the photo's number; None where CelebA's lists are not all there."""
    people, partition = official_lists(root)
    if people is None or partition is None or not mapping.is_file():
        return None
    allowed = {photo_key(name): splits for name, splits in partition.items()}
    originals = {number: photo_key(original) for number, _, original in table(mapping, 3)}
    return {
        int(number): (people[original], allowed[original])
        for number, original in originals.items()
        if original in people and original in allowed
    }
