"""Degraded evaluation faces that stay as they are: the pixels are kept, because codecs change between versions.

One file holds the faces of one preset, crop size and scale; it is known by a digest over the pixels, not over the file.
What is done to a face follows from (seed, preset, face), so it depends neither on the other faces nor on their order,
and is the same at every crop size. When faces come or go a new file is written, into which the faces that an older one
holds are taken over: their pixels do not change, and older descriptions stay readable.

The files of a set are verified, block by block, when it is loaded. Their pixels are read, and verified again, when they
are asked for, and no more than ``KEPT_BYTES`` of them stay in memory.
"""

import hashlib
import json
import math
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from facerecon.corruption.degradations import Degradation, degrade, draw
from facerecon.corruption.presets import find_preset
from facerecon.data.manifest import SPLITS, Manifest
from facerecon.errors import FaceReconError
from facerecon.files import atomic_path, digest_of, sha256_bytes
from facerecon.randomness import generator

KEPT_BYTES = 256 << 20
"""So many bytes of a set's pixels stay in memory; and one preset's, however many they are."""

_WHAT = ("preset", "size", "scale", "seed", "definition", "faces", "crops")
"""What a file says of its faces, beside the SHA-256 of their pixels."""

_BROKEN = (OSError, ValueError, KeyError, TypeError, ZeroDivisionError, EOFError, RuntimeError, BadZipFile, zlib.error)
"""What reading raises of a file that is not whole; RuntimeError where a flag says that it is encrypted."""

_BLOCK = 1 << 20
"""Pixels are verified in blocks of so many bytes."""


class _Kept:
    """The pixels of a set that were asked for last."""

    def __init__(self) -> None:
        self._pixels: OrderedDict[str, NDArray[np.uint8]] = OrderedDict()

    def pixels(self, frozen: "FrozenDegradations") -> NDArray[np.uint8]:
        """Those of a preset."""
        found = self._pixels.pop(frozen.sha256, None)
        if found is None:
            while self._pixels and sum(each.nbytes for each in self._pixels.values()) + frozen.nbytes > KEPT_BYTES:
                self._pixels.popitem(last=False)
            path = frozen.folder / frozen.file
            about, found = _read(path, keep=True)
            if digest_of(about) != frozen.sha256:
                raise FaceReconError(f"{path} was changed while it was in use: run the pipeline again")
            assert found is not None
        self._pixels[frozen.sha256] = found
        return found


@dataclass(frozen=True)
class FrozenDegradations:
    """The degraded faces of one preset, crop size and scale.

    ``faces`` are their names in order, ``crops`` the SHA-256 of the pixels that they were made of. ``definition`` is
    the preset's digest. ``sha256`` is over all of it, over the pixels and the seed; ``file`` is the file's name in
    ``folder``.
    """

    preset: str
    size: int
    scale: int
    seed: int
    definition: str
    faces: tuple[str, ...]
    crops: tuple[str, ...]
    file: str
    sha256: str
    folder: Path = field(compare=False)
    kept: _Kept = field(repr=False, compare=False)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of ``pixels``."""
        return _shape(len(self.faces), self.size, self.scale)

    @property
    def nbytes(self) -> int:
        """Of ``pixels``."""
        return math.prod(self.shape)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The faces uint8 [N, size / scale, size / scale, 3], from the file unless they were asked for shortly before.

        Raises:
            FaceReconError: the file is missing, or is another than when the set was loaded.
        """
        return self.kept.pixels(self)

    @cached_property
    def rows(self) -> dict[str, int]:
        """Where each face is."""
        return {face: row for row, face in enumerate(self.faces)}

    def describe(self) -> dict[str, Any]:
        """What identifies it, for JSON: preset, size, scale, seed, count of faces, file name and SHA-256."""
        return {
            "preset": self.preset,
            "size": self.size,
            "scale": self.scale,
            "seed": self.seed,
            "count": len(self.faces),
            "file": self.file,
            "sha256": self.sha256,
        }


@dataclass(frozen=True)
class DegradedSet:
    """Degraded faces by preset; their files lie in ``folder``."""

    size: int
    scale: int
    seed: int
    presets: dict[str, FrozenDegradations]
    folder: Path = field(compare=False)

    @property
    def description(self) -> dict[str, Any]:
        """Size, scale, seed and what describes each file, for JSON; ``load_degradations`` takes it back."""
        files = [self.presets[name].describe() for name in sorted(self.presets)]
        return {"size": self.size, "scale": self.scale, "seed": self.seed, "files": files}

    @property
    def digest(self) -> str:
        """One SHA-256 for the whole set: equal digests, equal pixels of every face."""
        return digest_of([self.size, self.scale, [self.presets[name].sha256 for name in sorted(self.presets)]])

    def for_faces(self, preset: str, faces: Sequence[str]) -> NDArray[np.uint8]:
        """The degraded ``faces`` (names) in their order, uint8 [N, size / scale, size / scale, 3].

        A preset or a face that is not in the set raises FaceReconError.
        """
        frozen = self._frozen(preset)
        if missing := [face for face in faces if face not in frozen.rows]:
            raise FaceReconError(
                f"{len(missing)} of {len(faces)} faces are not among the degraded ones of {preset} (first: "
                f"{missing[0]}), which are {len(frozen.faces)}: freeze the degradations for these faces"
            )
        return frozen.pixels[[frozen.rows[face] for face in faces]]

    def degradation(self, preset: str, face: str) -> Degradation:
        """What was done to a face, drawn once more: its true kernel, for a method that may know it.

        Raises FaceReconError if the preset is not in the set, or has changed since its pixels were made.
        """
        frozen, now = self._frozen(preset), find_preset(preset)
        if frozen.definition != now.digest:
            raise FaceReconError(
                f"the preset {preset} has changed since {frozen.file} was made: what was done to its faces is not "
                "known any more: run the pipeline again"
            )
        return draw(now, self.size, _generator(self.seed, preset, face))

    def _frozen(self, preset: str) -> FrozenDegradations:
        if preset not in self.presets:
            raise FaceReconError(f"the degraded faces have no preset {preset}: they have {', '.join(self.presets)}")
        return self.presets[preset]


def freeze_degradations(
    folder: Path,
    manifest: Manifest,
    presets: Iterable[str],
    size: int,
    scale: int = 1,
    seed: int = 0,
    faces: Iterable[str] | None = None,
) -> DegradedSet:
    """Degrade ``faces`` of an aligned manifest by each preset into files in ``folder``, or reuse what is there.

    ``faces`` are names (``face``); None: all of val, gate and test. Order and repetition matter neither in them nor in
    ``presets``. The same arguments give the same bytes. It writes preset by preset: a run that was killed goes on.

    Raises:
        FaceReconError: no preset or no face is named, an unknown one, a crop's size that is not ``size`` or that
            ``scale`` does not divide, or a file that was changed since it was written.
    """
    names = sorted(set(presets))
    if not names:
        raise FaceReconError("degraded faces need at least one preset")
    if manifest.size != size or scale < 1 or size % scale:
        raise FaceReconError(
            f"degraded faces of {size} px for scale {scale} are asked for, but the aligned faces have {manifest.size} "
            "px: the sizes must be equal, and the scale must divide them"
        )
    known = manifest.faces[manifest.faces["split"].isin(SPLITS[1:])] if faces is None else manifest.faces
    crops = dict(zip(known["face"], known["crop_sha256"], strict=True))
    chosen = sorted(set(crops if faces is None else faces))
    if not chosen:
        raise FaceReconError("no face is left to be degraded for evaluation: there must be one in val, gate or test")
    if unknown := [face for face in chosen if face not in crops]:
        raise FaceReconError(f"{len(unknown)} faces are not in the manifest (first: {unknown[0]}): name some of it")
    wanted = {face: crops[face] for face in chosen}
    asked = {"size": size, "scale": scale, "seed": seed}
    kept, read = _Kept(), manifest.aligned_faces.crop
    frozen = {name: _freeze(Path(folder), read, name, asked, wanted, kept) for name in names}
    return DegradedSet(size, scale, seed, frozen, Path(folder))


def freeze_crops(
    folder: Path, crops: Mapping[str, NDArray[np.uint8]], presets: Iterable[str], seed: int = 0
) -> DegradedSet:
    """As ``freeze_degradations``, of ``crops`` uint8 [S, S, 3] by the names of their faces, all of one size.

    Raises:
        FaceReconError: no preset or no face is named, an unknown one, or a file that was changed since it was written.
    """
    names, faces = sorted(set(presets)), sorted(crops)
    if not names or not faces:
        raise FaceReconError("degraded faces need at least one preset and one face")
    size = len(crops[faces[0]])
    wanted = {face: sha256_bytes(np.ascontiguousarray(crops[face]).tobytes()) for face in faces}
    asked, kept = {"size": size, "scale": 1, "seed": seed}, _Kept()
    frozen = {name: _freeze(Path(folder), crops.__getitem__, name, asked, wanted, kept) for name in names}
    return DegradedSet(size, 1, seed, frozen, Path(folder))


def _generator(seed: int, preset: str, face: str) -> np.random.Generator:
    return generator("frozen degradation", seed, preset, face)


def _freeze(
    folder: Path,
    read: Callable[[str], NDArray[np.uint8]],
    name: str,
    asked: dict[str, int],
    crops: dict[str, str],
    kept: _Kept,
) -> FrozenDegradations:
    preset = find_preset(name)
    what = {"preset": name, **asked, "definition": preset.digest, "faces": list(crops), "crops": list(crops.values())}
    begin = f"{name}-{asked['size']}px-x{asked['scale']}-seed{asked['seed']}-"
    path = folder / f"{begin}{digest_of(what)[:16]}.npz"
    if path.exists():
        frozen = _verified(path, kept)
        if any(
            getattr(frozen, key) != (tuple(value) if isinstance(value, list) else value) for key, value in what.items()
        ):
            raise FaceReconError(f"{path} holds other degraded faces than its name says: remove it")
        return frozen
    row = {face: index for index, face in enumerate(crops)}
    pixels, there = np.empty(_shape(len(crops), asked["size"], asked["scale"]), np.uint8), set[str]()
    for older in (_verified(each, _Kept()) for each in sorted(folder.glob(f"{begin}*.npz"))):
        if (older.preset, older.definition) == (name, preset.digest):
            same = [face for face, crop in zip(older.faces, older.crops, strict=True) if crops.get(face) == crop]
            if same:
                pixels[[row[face] for face in same]] = older.pixels[[older.rows[face] for face in same]]
            there.update(same)
    for face in crops:
        if face not in there:
            rng = _generator(asked["seed"], name, face)
            drawn = draw(preset, asked["size"], rng)
            pixels[row[face]] = degrade(read(face), drawn, rng, asked["scale"])
    about = {**what, "pixels_sha256": hashlib.sha256(pixels.data).hexdigest()}
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, about=np.array(json.dumps(about, sort_keys=True)), pixels=pixels)
    return _verified(path, kept)


def _shape(count: int, size: int, scale: int) -> tuple[int, int, int, int]:
    """Of ``count`` degraded faces."""
    return count, size // scale, size // scale, 3


def _verified(path: Path, kept: _Kept) -> FrozenDegradations:
    """The faces of a file; raises as ``_read``."""
    about, _ = _read(path)
    what = {key: about[key] for key in _WHAT} | {key: tuple(about[key]) for key in ("faces", "crops")}
    return FrozenDegradations(**what, file=path.name, sha256=digest_of(about), folder=path.parent, kept=kept)


def _read(path: Path, keep: bool = False) -> tuple[dict[str, Any], NDArray[np.uint8] | None]:
    """What a file of degraded faces says of them, and the pixels if they are to be kept.

    Raises:
        FaceReconError: it is missing, not whole, or does not hold what it says.
    """
    try:
        with ZipFile(path) as archive:
            with archive.open("about.npy") as stream:
                about = json.loads(str(np.lib.format.read_array(stream, allow_pickle=False)))
            what = {key: about[key] for key in _WHAT}
            shape = _shape(len(what["faces"]), what["size"], what["scale"])
            with archive.open("pixels.npy") as stream:
                np.lib.format.read_magic(stream)
                is_so = np.lib.format.read_array_header_1_0(stream) == (shape, False, np.dtype(np.uint8))
                sha256, pixels = _read_pixels(stream, shape, keep) if is_so else ("", None)
    except FileNotFoundError:
        raise FaceReconError(f"the file of degraded faces {path} is missing: pull it, or freeze them again") from None
    except _BROKEN as error:
        raise FaceReconError(f"{path} is not a whole file of degraded faces ({error}): remove it") from error
    if about != {**what, "pixels_sha256": sha256}:
        raise FaceReconError(f"{path} holds other degraded faces than were written: remove it")
    return about, pixels


def _read_pixels(stream: IO[bytes], shape: tuple[int, ...], keep: bool) -> tuple[str, NDArray[np.uint8] | None]:
    """The SHA-256 of the bytes of pixels, and, if they are to be kept, the pixels."""
    digest, size, read = hashlib.sha256(), math.prod(shape), 0
    pixels = np.empty(size if keep else 0, np.uint8)
    while block := stream.read(_BLOCK):
        if keep:
            pixels[read : read + len(block)] = np.frombuffer(block, np.uint8)
        digest.update(block)
        read += len(block)
    if read != size:
        raise ValueError(f"{read} bytes of pixels, expected {size}")
    return digest.hexdigest(), pixels.reshape(shape) if keep else None


def load_degradations(folder: Path, description: dict[str, Any]) -> DegradedSet:
    """The degraded faces of ``description`` (from ``DegradedSet.description``) from their files in ``folder``.

    A missing file, or one whose SHA-256 is not the described one, raises FaceReconError: nothing is made anew.
    """
    frozen, kept = {}, _Kept()
    for entry in description["files"]:
        path = Path(folder) / Path(entry["file"]).name
        read = _verified(path, kept)
        if read.describe() != entry or any(entry[key] != description[key] for key in ("size", "scale", "seed")):
            raise FaceReconError(
                f"{path} does not hold the described degraded faces: their SHA-256, size, scale or seed differs: run "
                "the pipeline again"
            )
        frozen[read.preset] = read
    return DegradedSet(description["size"], description["scale"], description["seed"], frozen, Path(folder))
