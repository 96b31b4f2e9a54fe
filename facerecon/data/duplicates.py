"""Near-duplicates across splits: re-encoded, resized, brightened, mirrored or slightly cropped copies of a photograph.

Perceptual hashes propose pairs: they are cheap to compare, but many different people have hashes that lie close. Pixels
confirm. Of a confirmed pair in two splits the later photo goes to quarantine, so that no model is measured on what it
saw.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facerecon.data.manifest import Manifest
from facerecon.data.quarantine import Code, Refusal, quarantine_table
from facerecon.data.store import FaceStore
from facerecon.data.validation.settings import NearDuplicateSettings

COLUMNS = ("uri", "split", "of", "of_split", "distance", "correlation")
"""Of a table of pairs: the later photo (``Manifest.names``), its split, the earlier one, its split, bits that differ,
correlation."""

_ROWS, _COLUMNS = 64, 8192
"""A block of hashes that is compared at a time: its 4 MB of differences stay in the processor's cache."""

_FLAT = 0.01
"""Contours that vary less, of 255, are rounding."""

_SIDE, _SHIFT = 64, 4
"""Crops are compared at so many pixels, shifted by so many to each side: a copy's landmarks are not quite the same."""


@dataclass(frozen=True)
class Guarded:
    """The manifest without the later photo of each pair, those ``pairs``, and the ``remaining`` ones that it holds."""

    manifest: Manifest
    pairs: pd.DataFrame
    remaining: pd.DataFrame


def guard_splits(manifest: Manifest, settings: NearDuplicateSettings) -> Guarded:
    """Quarantine photos that are near-duplicates of one in another split, or only list them if the settings say so.

    Photos come in order of their names. One goes if an earlier one that stays, in another split, is its near-duplicate;
    all its faces leave the manifest. The same manifest always gives the same result.
    """
    pairs = find_pairs(manifest, settings)
    if not settings.quarantine:
        return Guarded(manifest, pairs.iloc[:0], pairs)
    refused: dict[str, Refusal] = {}
    for name, of, split in zip(pairs["uri"], pairs["of"], pairs["of_split"], strict=True):
        if name not in refused and of not in refused:
            refused[name] = Refusal(Code.NEAR_DUPLICATE, f"near-duplicate of {of} in split {split}")
    if not refused:
        return Guarded(manifest, pairs, pairs)
    names = manifest.names()
    photos = dict(zip(names, zip(manifest.faces["source"], manifest.faces["uri"], strict=True), strict=True))
    rows = [(*photos[name], refusal) for name, refusal in refused.items()]
    kept = replace(
        manifest,
        faces=manifest.faces[~names.isin(refused)].reset_index(drop=True),
        quarantine=pd.concat([manifest.quarantine, quarantine_table(rows)], ignore_index=True),
    )
    return Guarded(kept, pairs[pairs["uri"].isin(refused)].reset_index(drop=True), pairs.iloc[:0])


def find_pairs(manifest: Manifest, settings: NearDuplicateSettings) -> pd.DataFrame:
    """All near-duplicates in two splits, a table of ``COLUMNS``, in order of the later photo, then of the earlier."""
    faces = manifest.faces.assign(uri=manifest.names()).sort_values(["uri", "face"]).reset_index(drop=True)
    uris, splits, names = (faces[name].tolist() for name in ("uri", "split", "face"))
    phashes, groups, store = hashes(faces), faces["split"].to_numpy(), manifest.aligned_faces
    found: dict[tuple[int, int], tuple[int, float]] = {}
    for mirrored in (False, True):
        others = mirrored_hashes(store, names) if mirrored else phashes
        least = settings.min_mirrored_correlation if mirrored else settings.min_correlation
        for first, second, distance in propose(phashes, groups, settings.max_distance, others):
            one, two = gray(store, names[first]), gray(store, names[second])
            alike = correlation(one, two[:, ::-1] if mirrored else two)
            if alike >= least and (first, second) not in found:
                found[first, second] = (distance, round(alike, 4))
    rows = [(uris[two], splits[two], uris[one], splits[one], *measured) for (one, two), measured in found.items()]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.sort_values(["uri", "of"], kind="stable").reset_index(drop=True)


def hashes(faces: pd.DataFrame) -> NDArray[np.uint64]:
    """The perceptual hashes of a manifest's faces, uint64 [N]."""
    return np.array([int(text, 16) for text in faces["phash"]], dtype=np.uint64)


def mirrored_hashes(store: FaceStore, names: list[str]) -> NDArray[np.uint64]:
    """The perceptual hashes of the mirrored crops of faces, uint64 [N]."""
    turned = (cv2.img_hash.pHash(np.ascontiguousarray(gray(store, name)[:, ::-1]))[0] for name in names)
    return np.array([int.from_bytes(phash.tobytes()) for phash in turned], dtype=np.uint64)


def propose(
    phashes: NDArray[np.uint64],
    groups: NDArray[np.object_],
    max_distance: int,
    others: NDArray[np.uint64] | None = None,
) -> Iterator[tuple[int, int, int]]:
    """Pairs (earlier row, later row, distance) of different ``groups`` whose hashes differ in few bits of 64.

    ``phashes`` uint64 [N], ``groups`` [N]. The later one's hash is that of ``others`` [N] if there are any, such as
    those of mirrored crops. All pairs are compared, block by block: 100,000 hashes take seconds and a few megabytes.
    """
    codes = pd.factorize(groups)[0].astype(np.int16)
    others = phashes if others is None else others
    for top in range(0, len(phashes), _ROWS):
        rows = slice(top, top + _ROWS)
        for left in range(top, len(phashes), _COLUMNS):
            columns = slice(left, left + _COLUMNS)
            distances = np.bitwise_count(phashes[rows, None] ^ others[None, columns])
            first, second = np.nonzero(distances <= max_distance)
            # few are left here, so what they must fulfil besides is asked of them alone
            wanted = (first + top < second + left) & (codes[rows][first] != codes[columns][second])
            for row, column in zip(first[wanted].tolist(), second[wanted].tolist(), strict=True):
                yield row + top, column + left, int(distances[row, column])


def correlation(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """How alike two gray crops uint8 [S, S] are, -1 to 1: the normalised correlation of their contours where the inner
    part of the second fits best into the first. Brightness and contrast do not matter."""
    one, two = _contours(first), _contours(second)
    inner = two[_SHIFT:-_SHIFT, _SHIFT:-_SHIFT]
    if one.std() < _FLAT or inner.std() < _FLAT:
        return 0.0  # a correlation with one colour is not defined
    found = cv2.matchTemplate(one, inner, cv2.TM_CCOEFF_NORMED)
    return float(np.nan_to_num(found, posinf=0, neginf=0).max())


def _contours(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What is finer than the light and shade that all aligned faces share, and coarser than a codec's noise."""
    small = cv2.resize(crop, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    found: NDArray[np.float32] = cv2.GaussianBlur(small, (0, 0), 1) - cv2.GaussianBlur(small, (0, 0), 6)
    return found


def gray(store: FaceStore, face: str) -> NDArray[np.uint8]:
    """The crop of a face as gray pixels uint8 [S, S]."""
    return np.asarray(cv2.cvtColor(store.crop(face), cv2.COLOR_RGB2GRAY), np.uint8)
