"""The frozen cases of landmarks: where the evaluation faces' crops lie, and their degraded pixels."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facerecon.corruption.degradation_settings import DegradationSettings
from facerecon.corruption.frozen_degradations import DegradedSet, freeze_crops, load_degradations
from facerecon.corruption.presets import CLEAN
from facerecon.data.geometry import Square, cut
from facerecon.data.manifest import Manifest
from facerecon.data.photos import NoPhotoError, read_photo
from facerecon.errors import FaceReconError
from facerecon.files import digest_of, write_json
from facerecon.randomness import generator
from facerecon.settings import Settings
from facerecon.tasks.base import Cases
from facerecon.tasks.landmarks.placement import place
from facerecon.tasks.landmarks.training_settings import PlacementSettings
from facerecon.tasks.landmarks.truth import chosen_faces, known_faces

SHOWN = 6
"""So many faces stand in the overview."""

PLACED = "placements"


@dataclass(frozen=True)
class LandmarkCases(Cases):
    """Crops of evaluation faces under each of the ``presets``; ``placed`` says where each lies in its photograph.

    ``left_out`` counts the faces that have none, by why.
    """

    task = "landmarks"

    degraded: DegradedSet
    presets: tuple[str, ...]
    placed: dict[str, tuple[float, float, float, float]]
    left_out: dict[str, int]

    @property
    def folder(self) -> Path:
        return self.degraded.folder

    @property
    def digest(self) -> str:
        return digest_of([self.degraded.digest, self.presets, self._placed_digest])

    @cached_property
    def _placed_digest(self) -> str:
        return digest_of(self.placed)

    @property
    def description(self) -> dict[str, Any]:
        more = {"presets": list(self.presets), "placed": self._placed_digest, "left_out": self.left_out}
        return {**self.degraded.description, **more}

    def has(self, face: str) -> bool:
        """Whether a face has a crop."""
        return face in self.placed

    def square(self, face: str) -> Square:
        """Where a face's crop lies in its photograph."""
        numbers = np.array(self.placed[face], np.float32)
        return Square(numbers[:2], numbers[2:])

    def images(self, preset: str, faces: Sequence[str]) -> NDArray[np.uint8]:
        """The degraded crops uint8 [N, S, S, 3] of faces by their names."""
        return self.degraded.for_faces(preset, faces)

    def picture(self) -> NDArray[np.uint8]:
        """A row for each degradation, the same few faces in each."""
        return np.vstack([np.hstack(list(self.degraded.presets[name].pixels[:SHOWN])) for name in self.presets])


class CasesPart(Settings):
    """What freezing the crops needs."""

    degradations: DegradationSettings


def freeze(settings: CasesPart, faces: Manifest, folder: Path) -> LandmarkCases:
    """The frozen crops of all splits but training, placed and degraded into ``folder`` or verified there.

    Raises:
        FaceReconError: no face's photograph is at hand.
    """
    chosen = settings.degradations
    names = dict.fromkeys(("val", "gate", "test", *faces.face_sets))
    rows = {
        str(row["face"]): row for name in names for _, row in chosen_faces(faces, name, chosen.faces).rows.iterrows()
    }
    known = known_faces(faces, sorted(rows))
    crops: dict[str, NDArray[np.uint8]] = {}
    placed: dict[str, tuple[float, float, float, float]] = {}
    left_out: dict[str, int] = {}
    for face, row in sorted(rows.items()):
        try:
            if face not in known:
                raise NoPhotoError("its points are not known")
            image = read_photo(faces, row)
            rng = generator("frozen placement", chosen.seed, face)
            where = place(known[face].points, image.shape[:2], PlacementSettings(), rng)
            if where is None:
                raise NoPhotoError("it leaves no room about it in its photograph")
        except NoPhotoError as reason:
            left_out[str(reason)] = left_out.get(str(reason), 0) + 1
            continue
        crops[face], _ = cut(image, where, faces.size)
        placed[face] = (*where.origin.tolist(), *where.right.tolist())
    if not crops:
        said = "; ".join(f"{count}: {reason}" for reason, count in sorted(left_out.items())) or "there are none"
        raise FaceReconError(f"no evaluation face can be cut out of its photograph ({said}): give other photographs")
    degraded = freeze_crops(folder, crops, {*chosen.evaluation, CLEAN.name}, chosen.seed)
    cases = LandmarkCases(degraded, chosen.evaluation, placed, left_out)
    write_json(_file(folder, cases.description["placed"]), placed)
    return cases


def load(folder: Path, description: dict[str, Any]) -> LandmarkCases:
    """The cases of a description; FaceReconError if a file is missing or another."""
    path = _file(folder, description["placed"])
    try:
        placed = {face: tuple(numbers) for face, numbers in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise FaceReconError(f"{path} cannot be read ({error}): run the pipeline again") from error
    degraded = load_degradations(folder, description)
    cases = LandmarkCases(degraded, tuple(description["presets"]), placed, description["left_out"])
    if cases.description["placed"] != description["placed"]:
        raise FaceReconError(f"{path} holds other placements than were written: remove it, and run the pipeline again")
    return cases


def _file(folder: Path, digest: str) -> Path:
    return Path(folder) / f"{PLACED}-{digest[:16]}.json"
