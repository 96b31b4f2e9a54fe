"""Aligned faces, packed into shards: some hundred photographs in one safetensors file, written once and whole.

A shard is named by the SHA-256 of its bytes, so a damaged one is known as such. Photographs are found by the SHA-256 of
theirs: what was aligned stays aligned, wherever the file lies now. Readers map shards into memory; nothing is decoded.

A folder is named by all that decides what is in it. What other code, other packages or other settings have made is not
found any more, and is made anew; it takes up space until `make clean`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from facerecon.data.quarantine import Code, Refusal
from facerecon.errors import FaceReconError
from facerecon.files import arrays_digest, atomic_path, sha256_bytes, sha256_file
from facerecon.perception.landmarks import Points


@dataclass(frozen=True)
class Measures:
    """What is known of a face beside its pixels.

    Box and ``quad`` (the side of the cut square) and ``eyes`` (the distance between them) are in photo pixels;
    ``padding`` is the share of the crop that lies outside the photo; angles are in degrees; ``sharpness`` is the
    variance of the Laplacian of the gray crop, ``brightness`` its mean, 0 to 255.
    """

    box_x: float
    box_y: float
    box_width: float
    box_height: float
    quad: float
    eyes: float
    padding: float
    yaw: float
    pitch: float
    roll: float
    sharpness: float
    brightness: float


MEASURES = tuple(measure.name for measure in fields(Measures))


@dataclass(frozen=True)
class AlignedFace:
    """One face: ``crop`` uint8 [S, S, 3]; ``five`` [5, 2] and ``sixty_eight`` [68, 2] in crop pixels; ``all478`` [478,
    3] in photo pixels; ``phash`` the crop's perceptual hash uint8 [8]; ``parts`` uint8 [S, S], labels of a face's parts
    where the source has them, else 0; ``truth`` the arrays that the source has beside the photo, by name."""

    crop: NDArray[np.uint8]
    five: Points
    sixty_eight: Points
    all478: Points
    phash: NDArray[np.uint8]
    parts: NDArray[np.uint8]
    measures: Measures
    truth: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class AlignedPhoto:
    """The faces of one photo, largest first, or why it has none that can be used.

    ``anchor`` is the point in photo pixels that said which face is meant, if one did.
    """

    sha256: str
    refusal: Refusal | None
    faces: list[AlignedFace]
    anchor: tuple[float, float] | None = None


@dataclass(frozen=True)
class FacePoints:
    """Points of one aligned face: ``five`` [5, 2] and ``sixty_eight`` [68, 2] in crop pixels, ``all478`` [478, 3] in
    photo pixels."""

    five: Points
    sixty_eight: Points
    all478: Points


@dataclass(frozen=True)
class _Entry:
    shard: Path
    first: int
    count: int
    refusal: Refusal | None
    anchor: tuple[float, float] | None


GIVEN_POINTS = "given_points"
"""Truth of this name are the 68 points [68, 3] that a data set brings for a face, x and y in pixels of the photo, z of
any sign and origin; [0, 3] where they are unusable."""

_TRUTH = "truth"
"""How a shard's tensors begin that are truth: ``truth/<name>/<row>``, one a face, for they need not be of one shape."""


def face_name(photo: str, index: int) -> str:
    """The name of a photo's ``index``-th face: the photo's SHA-256, with ``-index`` from the second one on."""
    return f"{photo}-{index}" if index else photo


Folders = Path | str | Mapping[Path, Set[str]]
"""Where shards lie: a folder, or several, each with the SHA-256 of the photos that are looked up in it."""


class FaceStore:
    """The shards in ``folders``. Reading is safe in threads and in worker processes; a copy opens the files anew."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._entries: dict[str, _Entry] = {}
        self._open: dict[Path, Any] = {}
        self._named: dict[Path, dict[int, list[str]]] = {}
        if isinstance(folders, Mapping):
            for folder, photos in folders.items():
                self._list(folder, photos)
        else:
            self._list(Path(folders), None)

    def __reduce__(self) -> tuple[type["FaceStore"], tuple[Folders]]:
        return FaceStore, (self._folders,)

    @property
    def place(self) -> str:
        """Its folders, for messages."""
        return ", ".join(map(str, self._folders)) if isinstance(self._folders, Mapping) else str(self._folders)

    def _list(self, folder: Path, photos: Set[str] | None) -> None:
        for shard in sorted(folder.glob("*.safetensors")):
            first, anchors = 0, _anchors_of(self._reader(shard))
            for sha256, count, refusal in _photos_of(self._reader(shard)):
                if photos is None or sha256 in photos:
                    self._entries.setdefault(sha256, _Entry(shard, first, count, refusal, anchors.get(sha256)))
                first += count

    def _reader(self, shard: Path) -> Any:
        if shard not in self._open:
            try:
                self._open[shard] = safe_open(shard, "numpy")
            except (OSError, SafetensorError) as error:
                raise FaceReconError(
                    f"aligned faces {shard} cannot be read ({error}): run the pipeline again, it aligns them anew"
                ) from error
        return self._open[shard]

    @staticmethod
    def drop_damaged(folder: Path) -> int:
        """Remove shards whose bytes are not those that their names say; how many. Their photos count as not aligned."""
        damaged = [shard for shard in folder.glob("*.safetensors") if sha256_file(shard) != shard.stem]
        for shard in damaged:
            shard.unlink(missing_ok=True)
        return len(damaged)

    @staticmethod
    def write(folder: Path, photos: Sequence[AlignedPhoto]) -> Path:
        """Write one shard of ``photos`` and give its path; equal photos in equal order give the same file."""
        faces = [face for photo in photos for face in photo.faces]
        size = faces[0].crop.shape[0] if faces else 0
        tensors: dict[str, NDArray[Any]] = {
            "crop": _stack([face.crop for face in faces], (size, size, 3), np.uint8),
            "five": _stack([face.five for face in faces], (5, 2), np.float32),
            "sixty_eight": _stack([face.sixty_eight for face in faces], (68, 2), np.float32),
            "all478": _stack([face.all478 for face in faces], (478, 3), np.float32),
            "phash": _stack([face.phash for face in faces], (8,), np.uint8),
            "crop_sha256": _stack([_digest(face.crop) for face in faces], (32,), np.uint8),
            "measures": _stack(
                [np.array([getattr(face.measures, name) for name in MEASURES]) for face in faces],
                (len(MEASURES),),
                np.float64,
            ),
        }
        if any(face.parts.any() for face in faces):
            tensors["parts"] = np.stack([face.parts for face in faces])
        for row, face in enumerate(faces):
            tensors |= {f"{_TRUTH}/{name}/{row}": array for name, array in face.truth.items()}
        about = [(photo.sha256, len(photo.faces), *_row_of(photo.refusal)) for photo in photos]
        anchors = {photo.sha256: photo.anchor for photo in photos if photo.anchor}
        told = {"photos": about, "anchors": anchors} if anchors else {"photos": about}
        content = save(tensors, {name: json.dumps(value, separators=(",", ":")) for name, value in told.items()})
        shard = folder / f"{sha256_bytes(content)}.safetensors"
        with atomic_path(shard) as temporary:
            temporary.write_bytes(content)
        return shard

    def __contains__(self, photo: str) -> bool:
        return photo in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def refusal(self, photo: str) -> Refusal | None:
        """Why the photo of this SHA-256 has no usable face; None if it has one."""
        return self._entries[photo].refusal

    def anchor(self, photo: str) -> tuple[float, float] | None:
        """The point that said which face of the photo of this SHA-256 is meant; None if none did."""
        return self._entries[photo].anchor

    def faces(self, photo: str) -> list[str]:
        """The names of the faces of the photo of this SHA-256."""
        return [face_name(photo, index) for index in range(self._entries[photo].count)]

    def holds(self, face: str) -> bool:
        """Whether this face is here."""
        photo, _, index = face.partition("-")
        return photo in self._entries and int(index or 0) < self._entries[photo].count

    def crop(self, face: str) -> NDArray[np.uint8]:
        """The pixels of a face, uint8 [S, S, 3]."""
        crop: NDArray[np.uint8] = self._row(face, "crop")
        return crop

    def crops(self, faces: Iterable[str], size: int) -> NDArray[np.uint8]:
        """The pixels of faces, uint8 [N, size, size, 3]."""
        return _stack([self.crop(face) for face in faces], (size, size, 3), np.uint8)

    def points(self, face: str) -> FacePoints:
        """The points of a face."""
        return FacePoints(self._row(face, "five"), self._row(face, "sixty_eight"), self._row(face, "all478"))

    def few_points(self, face: str) -> tuple[Points, Points]:
        """The five [5, 2] and the 68 points [68, 2] of a face in crop pixels: what training needs."""
        return self._row(face, "five"), self._row(face, "sixty_eight")

    def parts(self, face: str) -> NDArray[np.uint8] | None:
        """The labels of a face's parts, uint8 [S, S]; None where its source has none."""
        shard = self._entries[face.partition("-")[0]].shard
        return self._row(face, "parts") if "parts" in self._reader(shard).keys() else None  # noqa: SIM118

    def truth(self, face: str, name: str) -> NDArray[Any]:
        """The array of that name that a face's source has beside its photo, in the photo's own coordinates.

        Raises:
            FaceReconError: the source has none for this photo.
        """
        if not self.has_truth(face, name):
            held = ", ".join(sorted(self._truth_names(face))) or "none"
            raise FaceReconError(f"face {face} has no truth '{name}' beside it: its source gave {held}")
        return self._truth_of(face, name)

    def has_truth(self, face: str, name: str) -> bool:
        """Whether a face's source has an array of that name beside its photo."""
        return name in self._truth_names(face)

    def truth_sha256(self, face: str) -> str:
        """A digest of all truth beside a face; "" without any."""
        return arrays_digest(self._truth(face))

    def _truth(self, face: str) -> dict[str, NDArray[Any]]:
        return {name: self._truth_of(face, name) for name in self._truth_names(face)}

    def _truth_of(self, face: str, name: str) -> NDArray[Any]:
        entry, place = self._place(face)
        array: NDArray[Any] = self._reader(entry.shard).get_tensor(f"{_TRUTH}/{name}/{place}")
        return array

    def _truth_names(self, face: str) -> Sequence[str]:
        entry, place = self._place(face)
        if entry.shard not in self._named:
            keys = (key.split("/") for key in self._reader(entry.shard).keys() if key.startswith(f"{_TRUTH}/"))  # noqa: SIM118
            named: dict[int, list[str]] = {}
            for _, name, row in keys:
                named.setdefault(int(row), []).append(name)
            self._named[entry.shard] = named
        return self._named[entry.shard].get(place, ())

    def columns(self, faces: Sequence[str]) -> dict[str, list[Any]]:
        """What a table says of faces: ``crop_sha256`` and ``phash`` in hexadecimal digits, and each of ``MEASURES``."""
        small: dict[Path, dict[str, NDArray[Any]]] = {}
        rows: list[tuple[Any, ...]] = []
        for face in faces:
            entry, place = self._place(face)
            if entry.shard not in small:
                reader = self._reader(entry.shard)
                small[entry.shard] = {name: reader.get_tensor(name) for name in ("crop_sha256", "phash", "measures")}
            of = {name: values[place] for name, values in small[entry.shard].items()}
            rows.append((of["crop_sha256"].tobytes().hex(), of["phash"].tobytes().hex(), *of["measures"].tolist()))
        names = ("crop_sha256", "phash", *MEASURES)
        return (
            dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)) if rows else {name: [] for name in names}
        )

    @staticmethod
    def remove(folder: Path, photos: set[str]) -> int:
        """Remove photos by their SHA-256, faces and all; how many were here. Shards are written anew without them."""
        store, removed = FaceStore(folder), set()
        for shard in sorted(folder.glob("*.safetensors")):
            listed = [sha256 for sha256, _, _ in _photos_of(store._reader(shard))]
            if photos.isdisjoint(listed):
                continue
            if kept := [store.photo(sha256) for sha256 in listed if sha256 not in photos]:
                FaceStore.write(folder, kept)
            shard.unlink()
            removed |= photos.intersection(listed)
        return len(removed)

    def photo(self, sha256: str) -> AlignedPhoto:
        """All that is kept of the photo of this SHA-256."""
        faces = self.faces(sha256)
        return AlignedPhoto(sha256, self.refusal(sha256), [self._face(face) for face in faces], self.anchor(sha256))

    def _face(self, face: str) -> AlignedFace:
        crop, points, parts = self.crop(face), self.points(face), self.parts(face)
        return AlignedFace(
            crop,
            points.five,
            points.sixty_eight,
            points.all478,
            self._row(face, "phash"),
            np.zeros(crop.shape[:2], np.uint8) if parts is None else parts,
            Measures(*self._row(face, "measures").tolist()),
            self._truth(face),
        )

    def _place(self, face: str) -> tuple[_Entry, int]:
        photo, _, index = face.partition("-")
        entry = self._entries.get(photo)
        if entry is None or int(index or 0) >= entry.count:
            raise FaceReconError(
                f"face {face} is missing from {self.place}: run the pipeline again, it aligns the photo anew"
            )
        return entry, entry.first + int(index or 0)

    def _row(self, face: str, name: str) -> Any:
        entry, place = self._place(face)
        return self._reader(entry.shard).get_slice(name)[place]


def _digest(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex(sha256_bytes(crop.tobytes())), np.uint8)


def _photos_of(reader: Any) -> list[tuple[str, int, Refusal | None]]:
    """Of each photo in a shard: its SHA-256, the number of its faces, why there is none."""
    rows = json.loads(reader.metadata()["photos"])
    # shards of before there were codes have a reason alone
    return [
        (sha256, count, Refusal(Code(code[0]) if code else Code.UNKNOWN, reason) if reason else None)
        for sha256, count, reason, *code in rows
    ]


def _anchors_of(reader: Any) -> dict[str, tuple[float, float]]:
    """The anchors of a shard's photos that have one, by their SHA-256."""
    return {sha256: (x, y) for sha256, (x, y) in json.loads(reader.metadata().get("anchors", "{}")).items()}


def _row_of(refusal: Refusal | None) -> tuple[str, ...]:
    return (refusal.reason, refusal.code.value) if refusal else ("",)


def _stack(arrays: list[Any], shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Arrays of one ``shape`` stacked; of none of them, an empty array."""
    return np.stack(arrays).astype(dtype, copy=False) if arrays else np.empty((0, *shape), dtype)
