"""Degraded evaluation faces that stay as they are: drawn once, kept as pixels in one file a preset, known by digest.

Pixels are kept, not what was drawn, because codecs give other pixels from version to version, and figures compare only
on the same ones. A face's degradation follows from its digest, not from which other faces are evaluated with it.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facerecon.corruption.degradations import Degradation, degrade, draw
from facerecon.corruption.presets import find_preset
from facerecon.data.datasets import EvaluationFaces
from facerecon.errors import FaceReconError
from facerecon.files import atomic_path, digest_of, sha256_bytes
from facerecon.randomness import generator


@dataclass(frozen=True)
class FrozenFaces:
    """The faces under one preset.

    ``pixels`` uint8 [N, side, side, 3] are those of ``faces``, by name, in order; ``sha256`` is over preset, size,
    scale, seed, names and pixels; ``file`` is the file's name without the folder.
    """

    preset: str
    file: str
    sha256: str
    faces: tuple[str, ...] = field(repr=False)
    pixels: NDArray[np.uint8] = field(repr=False, compare=False)

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each face lies."""
        return {face: place for place, face in enumerate(self.faces)}


@dataclass(frozen=True)
class DegradedSet:
    """All frozen faces of crops of ``size`` pixels, by preset; degraded ones have ``size / scale`` pixels a side.

    Their files lie in ``folder``.
    """

    size: int
    scale: int
    seed: int
    frozen: tuple[FrozenFaces, ...]
    folder: Path = field(compare=False)

    @property
    def presets(self) -> tuple[str, ...]:
        """The presets, in the order in which they were asked for."""
        return tuple(each.preset for each in self.frozen)

    @property
    def description(self) -> dict[str, Any]:
        """What identifies the files, for JSON; ``load_degradations`` takes it back."""
        files = [{"preset": each.preset, "file": each.file, "sha256": each.sha256} for each in self.frozen]
        return {"size": self.size, "scale": self.scale, "seed": self.seed, "files": files}

    @property
    def digest(self) -> str:
        """One SHA-256 for the whole set: equal digests, equal pixels for every face."""
        return digest_of([self.size, self.scale, [each.sha256 for each in self.frozen]])

    def for_faces(self, preset: str, faces: EvaluationFaces) -> NDArray[np.uint8]:
        """The degraded faces uint8 [N, side, side, 3].

        Raises:
            FaceReconError: the preset, or a face, is not in the set.
        """
        held = self._of(preset)
        if missing := [face for face in faces.faces if face not in held.places]:
            raise FaceReconError(
                f"{len(missing)} of {len(faces)} faces are not among the {len(held.faces)} frozen ones under {preset}: "
                "raise degradations.faces"
            )
        return held.pixels[[held.places[face] for face in faces.faces]]

    def first(self, preset: str, count: int) -> NDArray[np.uint8]:
        """The first faces under a preset, at most so many, uint8 [N, side, side, 3]."""
        return self._of(preset).pixels[:count]

    def degradation(self, preset: str, face: str) -> Degradation:
        """What was drawn for a face: its true kernel, for who is allowed to know it."""
        return draw(find_preset(preset), self.size, _generator(self.seed, preset, face))

    def _of(self, preset: str) -> FrozenFaces:
        for each in self.frozen:
            if each.preset == preset:
                return each
        raise FaceReconError(f"no face is frozen under '{preset}': the set has {', '.join(self.presets)}")


def _generator(seed: int, preset: str, face: str) -> np.random.Generator:
    return generator("frozen degradation", seed, preset, face)


def freeze_degradations(
    folder: Path, sets: Sequence[EvaluationFaces], presets: Iterable[str], size: int, scale: int = 1, seed: int = 0
) -> DegradedSet:
    """Degrade the faces of all ``sets`` into files in ``folder``, one a preset, or reuse those there if they are whole.

    Crops have ``size`` pixels. A file of that name that holds something else, or was changed since it was written,
    raises FaceReconError.
    """
    crops: dict[str, NDArray[np.uint8]] = {}
    for faces in sets:
        crops.update(zip(faces.faces, faces.images, strict=True))
    names = tuple(sorted(crops))
    side, frozen = size // scale, []
    for preset in presets:
        about = _about(preset, size, scale, seed, names)
        path = Path(folder) / f"{preset}-{size}px-x{scale}-{digest_of(about)[:16]}.npz"
        if not path.exists():
            pixels = np.empty((len(names), side, side, 3), np.uint8)
            for place, name in enumerate(names):
                rng = _generator(seed, preset, name)
                pixels[place] = degrade(crops[name], draw(find_preset(preset), size, rng), rng, scale)
            content = io.BytesIO()
            said = json.dumps({**about, "pixels_sha256": sha256_bytes(pixels.tobytes())}, sort_keys=True)
            np.savez_compressed(content, about=np.array(said), pixels=pixels)
            with atomic_path(path) as temporary:
                temporary.write_bytes(content.getvalue())
        frozen.append(_read(path, about))
    return DegradedSet(size, scale, seed, tuple(frozen), Path(folder))


def _about(preset: str, size: int, scale: int, seed: int, names: Sequence[str]) -> dict[str, Any]:
    drawn = find_preset(preset).digest
    return {"preset": preset, "drawn": drawn, "size": size, "scale": scale, "seed": seed, "faces": list(names)}


def _read(path: Path, asked: dict[str, Any] | None = None) -> FrozenFaces:
    """Read a file; raises FaceReconError unless it is whole and holds what was ``asked``, if that is given."""
    try:
        with np.load(path, allow_pickle=False) as content:
            about, pixels = json.loads(str(content["about"])), content["pixels"]
        side = about["size"] // about["scale"]
        whole = about.pop("pixels_sha256") == sha256_bytes(pixels.tobytes()) and pixels.dtype == np.uint8
        names, preset = tuple(about["faces"]), about["preset"]
    except FileNotFoundError:
        raise FaceReconError(f"the file of degraded faces {path} is missing: run the pipeline again") from None
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise FaceReconError(f"{path} is not a whole file of degraded faces ({error}): remove it") from error
    if not whole or pixels.shape != (len(names), side, side, 3) or asked not in (None, about):
        raise FaceReconError(f"{path} holds other degraded faces than its name says: remove it")
    sha256 = digest_of({**about, "pixels_sha256": sha256_bytes(pixels.tobytes())})
    return FrozenFaces(preset, path.name, sha256, names, pixels)


def load_degradations(folder: Path, description: dict[str, Any]) -> DegradedSet:
    """The set of a ``description`` (from ``DegradedSet.description``) from its files in ``folder``.

    A missing file, or one whose SHA-256 is not the described one, raises FaceReconError: nothing is drawn anew.
    """
    frozen = []
    for entry in description["files"]:
        path = Path(folder) / Path(entry["file"]).name
        found = _read(path)
        if (found.preset, found.sha256) != (entry["preset"], entry["sha256"]):
            raise FaceReconError(
                f"{path} does not hold the described degraded faces: their SHA-256 differs: run the pipeline again"
            )
        frozen.append(found)
    size, scale, seed = (int(description[key]) for key in ("size", "scale", "seed"))
    return DegradedSet(size, scale, seed, tuple(frozen), Path(folder))
