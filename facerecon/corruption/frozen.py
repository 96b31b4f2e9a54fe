"""Evaluation masks that stay as they are: drawn once, kept in one file per level, family and size, known by digest.

A digest is over the masks, not over the file: Python versions write different bytes around the same masks.
Figures compare only under the same masks. A face's mask is chosen by a hash of the face, so that it does not depend on
which other faces are evaluated with it, nor in what order. In all masks 1 = hole.
"""

import json
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facerecon.corruption.masks import draw_mask, draw_ratio
from facerecon.errors import FaceReconError
from facerecon.files import atomic_path, digest_of, sha256_bytes
from facerecon.randomness import generator, unit_interval


@dataclass(frozen=True)
class FrozenMasks:
    """The masks of one level, family and size.

    ``packed`` uint8 [count, ceil(size * size / 8)] holds one mask a row, eight pixels a byte, 1 = hole. ``sha256`` is
    over level, family, size, count, seed and the bytes of ``packed``; ``file`` is the file's name without the folder.
    """

    level: int
    family: str
    size: int
    count: int
    seed: int
    file: str
    sha256: str
    packed: NDArray[np.uint8] = field(repr=False, compare=False)

    def for_face(self, face_sha256: str) -> NDArray[np.uint8]:
        """The mask uint8 [size, size], 1 = hole, of the face whose image has this SHA-256: always the same one."""
        index = int(unit_interval("evaluation mask", face_sha256, self.level, self.family, self.size) * self.count)
        pixels = np.unpackbits(self.packed[index], count=self.size * self.size)
        return pixels.reshape(self.size, self.size)

    def describe(self) -> dict[str, Any]:
        """What identifies the masks, for JSON: level, family, size, count, seed, file name and SHA-256."""
        return {
            "level": self.level,
            "family": self.family,
            "size": self.size,
            "count": self.count,
            "seed": self.seed,
            "file": self.file,
            "sha256": self.sha256,
        }


@dataclass(frozen=True)
class MaskSet:
    """All frozen masks of one size, by (level, family); their files lie in ``folder``."""

    size: int
    masks: dict[tuple[int, str], FrozenMasks]
    folder: Path = field(compare=False)

    @property
    def description(self) -> dict[str, Any]:
        """The size and what describes the masks of each file, for JSON; ``load_mask_set`` takes it back."""
        return {"size": self.size, "files": [self.masks[key].describe() for key in sorted(self.masks)]}

    @property
    def digest(self) -> str:
        """One SHA-256 for the whole set: equal digests, equal masks for every face."""
        return digest_of([self.size, [self.masks[key].sha256 for key in sorted(self.masks)]])

    def for_face(self, face_sha256: str, level: int, family: str) -> NDArray[np.uint8]:
        """The mask uint8 [size, size], 1 = hole, of a face. A level or family not in the set raises FaceReconError."""
        if (level, family) not in self.masks:
            held = ", ".join(f"{name} level {number}" for number, name in sorted(self.masks))
            raise FaceReconError(f"the mask set has no {family} level {level}: it has {held}")
        return self.masks[level, family].for_face(face_sha256)


def freeze(folder: Path, level: int, family: str, size: int, count: int = 256, seed: int = 0) -> FrozenMasks:
    """Draw ``count`` masks into a file in ``folder``, or reuse the file if it is already there and whole.

    The same arguments give the same bytes. A file of that name that holds other masks, or was changed since it was
    written, raises FaceReconError, as do an unknown level and an unknown family. ``count`` is at least 1.
    """
    if count < 1:
        raise FaceReconError(f"at least one mask must be frozen, not {count}")
    asked = {"level": level, "family": family, "size": size, "count": count, "seed": seed}
    path = Path(folder) / f"{family}-level{level}-{size}px-{count}masks-seed{seed}.npz"
    if not path.exists():
        rows = []
        for index in range(count):
            rng = generator("frozen mask", seed, family, level, size, index)
            rows.append(np.packbits(draw_mask(family, size, draw_ratio(level, rng), rng)))
        packed = np.stack(rows)
        with atomic_path(path) as temporary:
            np.savez(temporary, about=np.array(json.dumps(_about(asked, packed), sort_keys=True)), packed=packed)
    return _read(path, asked)


def _about(asked: dict[str, Any], packed: NDArray[np.uint8]) -> dict[str, Any]:
    """What a file says of its masks; the SHA-256 over this identifies them."""
    return {**asked, "packed_sha256": sha256_bytes(packed.tobytes())}


def _read(path: Path, asked: dict[str, Any]) -> FrozenMasks:
    """Read a file of frozen masks; raises FaceReconError unless it is whole and holds what was ``asked``."""
    try:
        with np.load(path, allow_pickle=False) as content:
            about, packed = json.loads(str(content["about"])), content["packed"]
    except FileNotFoundError:
        raise FaceReconError(
            f"the file of evaluation masks {path} is missing: pull it, or build the set again"
        ) from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise FaceReconError(f"{path} is not a whole file of evaluation masks ({error}): remove it") from error
    shape = (asked["count"], -(-(asked["size"] ** 2) // 8))
    if about != _about(asked, packed) or (packed.dtype, packed.shape) != (np.uint8, shape):
        raise FaceReconError(f"{path} holds other evaluation masks than its name says: remove it")
    return FrozenMasks(**asked, file=path.name, sha256=digest_of(about), packed=packed)


def build_mask_set(
    folder: Path, size: int, families: Iterable[str], levels: Iterable[int], count: int = 256, seed: int = 0
) -> MaskSet:
    """Freeze (or reuse) the masks of every family and level at ``size`` pixels. Order and repetition do not matter."""
    wanted = {(level, family) for family in families for level in levels}
    if not wanted:
        raise FaceReconError("a mask set needs at least one family and one level")
    masks = {key: freeze(folder, key[0], key[1], size, count, seed) for key in sorted(wanted)}
    return MaskSet(size, masks, Path(folder))


def load_mask_set(folder: Path, description: dict[str, Any]) -> MaskSet:
    """The mask set of ``description`` (from ``MaskSet.description``) from its files in ``folder``.

    A missing file, or one whose SHA-256 is not the described one, raises FaceReconError: nothing is drawn anew.
    """
    masks = {}
    for entry in description["files"]:
        asked = {key: entry[key] for key in ("level", "family", "size", "count", "seed")}
        path = Path(folder) / Path(entry["file"]).name
        frozen = _read(path, asked)
        if frozen.describe() != entry or frozen.size != description["size"]:
            raise FaceReconError(
                f"{path} does not hold the described evaluation masks: their SHA-256 or size differs: "
                "run the pipeline again"
            )
        masks[frozen.level, frozen.family] = frozen
    return MaskSet(description["size"], masks, Path(folder))
