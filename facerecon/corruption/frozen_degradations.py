"""Degraded evaluation faces that stay as they are: the pixels are kept, because codecs change between versions.

One file holds the faces of one preset, crop size and scale; it is known by a digest over the pixels, not over the file.
What is done to a face follows from (seed, preset, face), so it depends neither on the other faces nor on their order,
and is the same at every crop size. When faces come or go a new file is written, into which the faces that an older one
holds are taken over: their pixels do not change, and older descriptions stay readable.
"""

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from facerecon.corruption.degradations import Degradation, degrade, draw
from facerecon.corruption.presets import find_preset
from facerecon.data.manifest import SPLITS, Manifest
from facerecon.errors import FaceReconError
from facerecon.files import atomic_path, digest_of, sha256_bytes
from facerecon.randomness import generator


@dataclass(frozen=True)
class FrozenDegradations:
    """The degraded faces of one preset, crop size and scale.

    ``faces`` are their names in order, ``crops`` the SHA-256 of the pixels that they were made of, ``pixels`` uint8 [N,
    size / scale, size / scale, 3]. ``definition`` is the preset's digest. ``sha256`` is over all of it and over the
    seed; ``file`` is the file's name without the folder.
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
    pixels: NDArray[np.uint8] = field(repr=False, compare=False)

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
    frozen = {name: _freeze(Path(folder), manifest, name, asked, wanted) for name in names}
    return DegradedSet(size, scale, seed, frozen, Path(folder))


def _generator(seed: int, preset: str, face: str) -> np.random.Generator:
    return generator("frozen degradation", seed, preset, face)


def _freeze(
    folder: Path, manifest: Manifest, name: str, asked: dict[str, int], crops: dict[str, str]
) -> FrozenDegradations:
    preset = find_preset(name)
    what = {"preset": name, **asked, "definition": preset.digest, "faces": list(crops), "crops": list(crops.values())}
    begin = f"{name}-{asked['size']}px-x{asked['scale']}-seed{asked['seed']}-"
    path = folder / f"{begin}{digest_of(what)[:16]}.npz"
    if path.exists():
        frozen = _read(path)
        if any(
            getattr(frozen, key) != (tuple(value) if isinstance(value, list) else value) for key, value in what.items()
        ):
            raise FaceReconError(f"{path} holds other degraded faces than its name says: remove it")
        return frozen
    kept: dict[tuple[str, str], NDArray[np.uint8]] = {}
    for older in (_read(each) for each in sorted(folder.glob(f"{begin}*.npz"))):
        if (older.preset, older.definition) == (name, preset.digest):
            kept |= zip(zip(older.faces, older.crops, strict=True), older.pixels, strict=True)
    store, rows = manifest.aligned_faces, []
    for face, crop in crops.items():
        pixels = kept.get((face, crop))
        if pixels is None:
            rng = _generator(asked["seed"], name, face)
            pixels = degrade(store.crop(face), draw(preset, asked["size"], rng), rng, asked["scale"])
        rows.append(pixels)
    stacked = np.stack(rows)
    with atomic_path(path) as temporary:
        about = json.dumps(_about(what, stacked), sort_keys=True)
        np.savez_compressed(temporary, about=np.array(about), pixels=stacked)
    return _read(path)


def _about(what: dict[str, Any], pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """What a file says of its faces; the SHA-256 over this identifies them."""
    return {**what, "pixels_sha256": sha256_bytes(pixels.tobytes())}


def _read(path: Path) -> FrozenDegradations:
    """Read a file of degraded faces; raises FaceReconError unless it is whole and holds what it says."""
    try:
        with np.load(path, allow_pickle=False) as content:
            about, pixels = json.loads(str(content["about"])), content["pixels"]
        what = {key: about[key] for key in ("preset", "size", "scale", "seed", "definition", "faces", "crops")}
        side = what["size"] // what["scale"]
        shape = (len(what["faces"]), side, side, 3)
    except FileNotFoundError:
        raise FaceReconError(f"the file of degraded faces {path} is missing: pull it, or freeze them again") from None
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError, EOFError, BadZipFile, zlib.error) as error:
        raise FaceReconError(f"{path} is not a whole file of degraded faces ({error}): remove it") from error
    if (pixels.dtype, pixels.shape) != (np.uint8, shape) or about != _about(what, pixels):
        raise FaceReconError(f"{path} holds other degraded faces than were written: remove it")
    held = what | {"faces": tuple(what["faces"]), "crops": tuple(what["crops"])}
    return FrozenDegradations(**held, file=path.name, sha256=digest_of(about), pixels=pixels)


def load_degradations(folder: Path, description: dict[str, Any]) -> DegradedSet:
    """The degraded faces of ``description`` (from ``DegradedSet.description``) from their files in ``folder``.

    A missing file, or one whose SHA-256 is not the described one, raises FaceReconError: nothing is made anew.
    """
    frozen = {}
    for entry in description["files"]:
        path = Path(folder) / Path(entry["file"]).name
        read = _read(path)
        if read.describe() != entry or any(entry[key] != description[key] for key in ("size", "scale", "seed")):
            raise FaceReconError(
                f"{path} does not hold the described degraded faces: their SHA-256, size, scale or seed differs: run "
                "the pipeline again"
            )
        frozen[read.preset] = read
    return DegradedSet(description["size"], description["scale"], description["seed"], frozen, Path(folder))
