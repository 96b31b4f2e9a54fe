"""Cutting faces out: landmarks, a similarity transform from eyes and mouth, a square crop.

The square is FFHQ's (Karras et al., 2019): centred a tenth of the way from the eyes to the mouth, upright along the
eyes, its side the larger of 4 eye distances and 3.6 eye-to-mouth distances. Crops are content-addressed files in a
store; beside each photo's crops lies a sidecar with all landmarks, written last, so that a photo whose sidecar
exists is done and a killed run goes on where it was.
"""

import multiprocessing
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facerecon.config.alignment import AlignmentSettings
from facerecon.data import images, landmarks
from facerecon.data.images import UnreadableImageError, read_rgb, write_png
from facerecon.data.landmarks import FaceLandmarker, Points, five_points, head_angles, sixty_eight
from facerecon.data.manifest import FACE_COLUMNS, PHOTO_COLUMNS, Manifest
from facerecon.errors import FaceReconError
from facerecon.files import atomic_path, digest_of, sha256_bytes, sha256_file
from facerecon.progress import track


@dataclass(frozen=True)
class Square:
    """Where a face is cut: ``origin`` is the top left corner, ``right`` the whole upper edge, in photo pixels."""

    origin: Points
    right: Points

    @property
    def side(self) -> float:
        """The square's side in photo pixels."""
        return float(np.hypot(*self.right))

    def to_crop(self, points: Points, size: int) -> Points:
        """Photo points [K, >=2] in crop pixels [K, 2], for a crop of ``size``; (0, 0) is the corner."""
        down = np.array([-self.right[1], self.right[0]])
        axes = np.stack([self.right, down]) / self.side**2
        return ((points[:, :2] - self.origin) @ axes.T * size).astype(np.float32)

    def matrix(self, size: int) -> NDArray[np.float64]:
        """The affine map [2, 3] from crop pixel indices to photo pixel indices, as cv2 counts them."""
        right = self.right.astype(np.float64) / size
        linear = np.array([[right[0], -right[1]], [right[1], right[0]]])
        offset = linear @ [0.5, 0.5] + self.origin - 0.5
        return np.column_stack([linear, offset])


def face_square(points68: Points) -> Square:
    """FFHQ's square around a face, from its 68 points in photo pixels."""
    left_eye, right_eye = points68[36:42, :2].mean(0), points68[42:48, :2].mean(0)
    eyes, mouth = (left_eye + right_eye) / 2, points68[[48, 54], :2].mean(0)
    eye_to_eye, eye_to_mouth = right_eye - left_eye, mouth - eyes
    half = eye_to_eye + np.array([eye_to_mouth[1], -eye_to_mouth[0]])
    half *= max(2.0 * np.hypot(*eye_to_eye), 1.8 * np.hypot(*eye_to_mouth)) / np.hypot(*half)
    down = np.array([-half[1], half[0]])
    return Square(eyes + 0.1 * eye_to_mouth - half - down, 2 * half)


def cut(image: NDArray[np.uint8], square: Square, size: int) -> tuple[NDArray[np.uint8], float]:
    """The crop [size, size, 3] without aliasing, and the share of it that lies outside the photo (mirrored)."""
    factor = max(1, int(np.ceil(square.side / size)))
    large = cv2.warpAffine(
        image,
        square.matrix(size * factor),
        (size * factor, size * factor),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    inside = cv2.warpAffine(
        np.ones(image.shape[:2], np.uint8),
        square.matrix(size),
        (size, size),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
    )
    crop = cv2.resize(large, (size, size), interpolation=cv2.INTER_AREA) if factor > 1 else large
    return crop.astype(np.uint8, copy=False), float(1 - inside.mean())


@dataclass(frozen=True)
class _Task:
    path: str
    sha256: str


@dataclass(frozen=True)
class _Context:
    model: str
    store: str
    alignment: AlignmentSettings


def store_key(alignment: AlignmentSettings, model_sha256: str) -> str:
    """The name of the store's folder for crops made in this way: settings, landmark model and code."""
    code = [sha256_file(Path(module.__file__ or "")) for module in (images, landmarks)] + [sha256_file(Path(__file__))]
    chosen = alignment.model_dump(exclude={"workers", "no_face"})
    return digest_of({"settings": chosen, "model": model_sha256, "code": code})[:16]


def align(manifest: Manifest, alignment: AlignmentSettings, model: Path, store: Path) -> Manifest:
    """Cut the faces out of the manifest's photos into ``store`` and list them.

    ``model`` is the FaceLandmarker bundle. Photos without a usable face are quarantined with the reason; faces
    smaller than the crop are never enlarged.

    Raises:
        FaceReconError: a photo has no face and the settings say ``fail``, or no photo has a usable one.
    """
    folder = Path(store) / store_key(alignment, sha256_file(model))
    folder.mkdir(parents=True, exist_ok=True)
    photos: list[dict[str, Any]] = cast(list[dict[str, Any]], manifest.faces.to_dict("records"))
    tasks = [_Task(str(Path(manifest.root) / photo["uri"]), photo["sha256"]) for photo in photos]
    context = _Context(str(model), str(folder), alignment)
    rows, refused = [], []
    for photo, (reason, faces) in zip(photos, _run(tasks, context), strict=True):
        if reason == _NO_FACE and alignment.no_face == "fail":
            raise FaceReconError(
                f"alignment.no_face: no face found in {photo['uri']}: remove the photo or set it to 'quarantine'"
            )
        if reason:
            refused.append({"uri": photo["uri"], "reason": reason})
        for index, face in enumerate(faces):
            # the layout names one person per photo: further faces are someone else, in the same split
            suffix = f"-{index}" if index else ""
            own = {"face": photo["sha256"] + suffix, "identity": photo["identity"] + suffix}
            rows.append({**photo, **face, **own})
    if not rows:
        raise FaceReconError(
            f"no usable face in any of the {len(photos)} photos under {manifest.root} "
            f"(first: {refused[0]['uri']}: {refused[0]['reason']}): give photos of faces at least "
            f"{alignment.size} px wide, or lower alignment.size"
        )
    return Manifest(
        root=manifest.root,
        faces=pd.DataFrame(rows, columns=[*PHOTO_COLUMNS, *FACE_COLUMNS]),
        quarantine=pd.concat([manifest.quarantine, pd.DataFrame(refused, columns=["uri", "reason"], dtype=str)]),
        store=str(folder),
        size=alignment.size,
    )


def _run(tasks: list[_Task], context: _Context) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """Results in the order of ``tasks``: from the store if done before, else by detection."""
    # threads: reading and decoding release Python's lock, and a run that finds all done starts no process
    with ThreadPoolExecutor(context.alignment.workers) as pool:
        stored = list(pool.map(lambda task: _read_sidecar(_sidecar_file(task, context), context), tasks))
    detected = _detect([task for task, done in zip(tasks, stored, strict=True) if done is None], context)
    for done in stored:
        yield next(detected) if done is None else done


def _detect(tasks: list[_Task], context: _Context) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """Results in the order of ``tasks``, from worker processes, or from this one if a single worker is asked for."""
    workers = min(context.alignment.workers, len(tasks))
    if workers == 1:
        threads = cv2.getNumThreads()
        _start_worker(context)
        try:
            yield from track(map(_align_photo, tasks), "aligning faces", len(tasks))
        finally:
            _end_worker()
            cv2.setNumThreads(threads)
        return
    # spawn: MediaPipe's threads do not survive a fork
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker, (context,)) as pool:
        try:
            yield from track(pool.map(_align_photo, tasks, chunksize=16), "aligning faces", len(tasks))
        except BrokenProcessPool as error:
            raise FaceReconError(
                "alignment: a worker process was ended (out of memory?): run again, it goes on where it was; "
                "a lower alignment.workers needs less memory"
            ) from error
        finally:
            # whoever stops here, by an error or by Ctrl-C, does not want to wait for the rest
            pool.shutdown(cancel_futures=True)


_worker: tuple[FaceLandmarker, _Context] | None = None


def _start_worker(context: _Context) -> None:
    global _worker
    cv2.setNumThreads(1)
    _worker = (FaceLandmarker(Path(context.model), min_confidence=context.alignment.min_confidence), context)


def _end_worker() -> None:
    global _worker
    if _worker:
        _worker[0].close()
    _worker = None


_NO_FACE = "no face found"


def _align_photo(task: _Task) -> tuple[str, list[dict[str, object]]]:
    """The reason why a photo gives no face ("" if it does) and its faces' columns."""
    assert _worker is not None
    detector, context = _worker
    try:
        if sha256_file(Path(task.path)) != task.sha256:
            return "changed since it was listed", []
        image = read_rgb(Path(task.path))
    except OSError as error:
        return f"cannot be read: {error.strerror}", []
    except UnreadableImageError as error:
        return str(error), []
    reason, faces = _find_faces(image, detector, context.alignment)
    for index, face in enumerate(faces):
        with atomic_path(_crop_file(context, task.sha256, index)) as temporary:
            write_png(temporary, face.crop)
    sidecar = _sidecar_file(task, context)
    with atomic_path(sidecar) as temporary:
        flat: dict[str, Any] = {"reason": np.array(reason), "count": np.array(len(faces))}
        for index, face in enumerate(faces):
            flat |= {f"{index}/{name}": np.asarray(value) for name, value in asdict(face).items()}
        np.savez(temporary, **flat)
    result = _read_sidecar(sidecar, context)
    if result is None:
        raise FaceReconError(f"{sidecar} cannot be read back: free or mend the disk, and run again")
    return result


def _sidecar_file(task: _Task, context: _Context) -> Path:
    return Path(context.store) / task.sha256[:2] / f"{task.sha256}.npz"


def _crop_file(context: _Context, sha256: str, index: int) -> Path:
    return Path(context.store) / sha256[:2] / f"{sha256}-{index}.png"


@dataclass(frozen=True)
class _Face:
    """One face as its sidecar keeps it: points in crop pixels but ``landmarks`` (478, photo pixels) and ``box``."""

    crop: NDArray[np.uint8]
    landmarks: Points
    points68: Points
    points5: Points
    box: NDArray[np.float32]
    angles: NDArray[np.float32]
    quad: float
    padding: float
    sharpness: float
    brightness: float


def _find_faces(
    image: NDArray[np.uint8], detector: FaceLandmarker, alignment: AlignmentSettings
) -> tuple[str, list[_Face]]:
    """The faces to keep, largest first, and why there is none."""
    found = [(face_square(sixty_eight(points)), points, matrix) for points, matrix in detector.detect(image)]
    found.sort(key=lambda face: -face[0].side)
    if not found:
        return _NO_FACE, []
    if len(found) > 1 and alignment.several_faces == "quarantine":
        return f"{len(found)} faces found", []
    if alignment.several_faces == "largest":
        found = found[:1]
    faces, reasons = [], []
    for square, points, matrix in found:
        if square.side < alignment.size:
            reasons.append(f"face too small: {square.side:.0f} px for a crop of {alignment.size} px")
            continue
        crop, padding = cut(image, square, alignment.size)
        if padding > alignment.max_padding:
            reasons.append(f"face cut off: {padding:.0%} of the crop lies outside the photo")
            continue
        faces.append(_measure(crop, padding, square, points, matrix))
    return ("" if faces else reasons[0]), faces


def _measure(
    crop: NDArray[np.uint8], padding: float, square: Square, points: Points, matrix: NDArray[np.float64]
) -> _Face:
    size = crop.shape[0]
    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    return _Face(
        crop=crop,
        landmarks=points,
        points68=square.to_crop(sixty_eight(points), size),
        points5=square.to_crop(five_points(points), size),
        box=np.concatenate([low, high - low]),
        angles=np.array(head_angles(matrix), dtype=np.float32),
        quad=square.side,
        padding=padding,
        sharpness=float(cv2.Laplacian(gray, cv2.CV_64F).var()),
        brightness=float(gray.mean()),
    )


def _read_sidecar(sidecar: Path, context: _Context) -> tuple[str, list[dict[str, object]]] | None:
    """What was written for a photo before; None if there is nothing, or a file that is not whole.

    Crops that are gone or damaged are written again.
    """
    try:
        with np.load(sidecar, allow_pickle=False) as stored:
            reason, count = str(stored["reason"]), int(stored["count"])
            faces = [{name: stored[f"{index}/{name}"] for name in _SIDECAR_VALUES} for index in range(count)]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    columns = []
    for index, face in enumerate(faces):
        crop = _crop_file(context, sidecar.stem, index)
        if not _holds(crop, face["crop"]):
            with atomic_path(crop) as temporary:
                write_png(temporary, face["crop"])
        values = (
            str(crop.relative_to(context.store)),
            sha256_bytes(face["crop"].tobytes()),
            *map(float, face["box"]),
            float(face["quad"]),
            float(face["padding"]),
            *map(float, face["angles"]),
            float(face["sharpness"]),
            float(face["brightness"]),
        )
        columns.append(dict(zip(FACE_COLUMNS, values, strict=True)))
    return reason, columns


def _holds(path: Path, image: NDArray[np.uint8]) -> bool:
    """Whether the file at ``path`` is there and has exactly these pixels."""
    try:
        return np.array_equal(read_rgb(path), image)
    except UnreadableImageError:
        return False


_SIDECAR_VALUES = ("crop", "box", "quad", "padding", "angles", "sharpness", "brightness")


@dataclass(frozen=True)
class FacePoints:
    """Points of one aligned face: ``five`` [5, 2] and ``sixty_eight`` [68, 2] in crop pixels, ``all478`` [478, 3] in
    photo pixels."""

    five: Points
    sixty_eight: Points
    all478: Points


def read_points(manifest: Manifest, crop: str) -> FacePoints:
    """The points of the face whose crop is named ``crop`` in the manifest's store.

    Raises:
        FaceReconError: the store no longer holds them.
    """
    stem, _, index = Path(crop).stem.rpartition("-")
    sidecar = manifest.crop_path(crop).with_name(f"{stem}.npz")
    if not sidecar.is_file():
        raise FaceReconError(f"landmarks of {crop} are missing from {manifest.store}: run the pipeline again")
    with np.load(sidecar, allow_pickle=False) as stored:
        return FacePoints(stored[f"{index}/points5"], stored[f"{index}/points68"], stored[f"{index}/landmarks"])
