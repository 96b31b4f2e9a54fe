"""Aligning faces: landmarks, a similarity transform from eyes and mouth, a square crop, packed into a store.

A photograph whose faces are in the store is done, wherever its file lies now; a killed run goes on where it was.
"""

import multiprocessing
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from facerecon import images
from facerecon.data import geometry, parts, store
from facerecon.data.containers import read_bytes
from facerecon.data.geometry import Square, cut, cut_labels, eye_distance, face_square
from facerecon.data.manifest import FACE_COLUMNS, PHOTO_COLUMNS, Manifest, SourceRoot
from facerecon.data.provenance import made_by, sources_of
from facerecon.data.quarantine import Code, Refusal, quarantine_table, refusal_of
from facerecon.data.sources import Source, source_of
from facerecon.data.store import AlignedFace, AlignedPhoto, FaceStore, Measures
from facerecon.data.templates import TEMPLATES, misfit
from facerecon.errors import FaceReconError
from facerecon.files import arrays_digest, digest_of, sha256_bytes, sha256_file
from facerecon.images import UnreadableImageError, read_rgb
from facerecon.perception import landmarks, mtcnn, small_faces
from facerecon.perception.landmarks import FaceLandmarker, Points, five_points, head_angles, sixty_eight
from facerecon.perception.small_faces import around, detect_in, window_levels
from facerecon.progress import track
from facerecon.settings import Settings, Share
from facerecon.weights import weights_path


class AlignmentSettings(Settings):
    """How a face is cut out. ``size`` is the side of the square crop in pixels."""

    size: int = Field(64, ge=64, le=512, multiple_of=16)
    no_face: Literal["quarantine", "fail"] = "quarantine"
    several_faces: Literal["largest", "all", "quarantine"] = "largest"
    min_confidence: Share = 0.5
    small_faces: Literal["tiles", "mtcnn", "ignore"] = Field(
        "tiles", description="how to look again where no face is found in a large photograph"
    )
    max_padding: Share = Field(0.2, description="largest share of a crop that may lie outside its photograph")
    workers: int = Field(2, ge=1, le=256)


PHOTOS_PER_WORKER = 500
"""A process of its own pays from so many photos on: starting it takes as long as aligning them."""

SHARD_BYTES = 64_000_000
"""A shard holds no more photos than make up about so many bytes of crops: that much is lost when a run is killed."""


@dataclass(frozen=True)
class _Task:
    """A photo to align: where it lies, what its bytes are, and the point in the face that is meant, or None."""

    root: Path
    uri: str
    sha256: str
    anchor: tuple[float, float] | None


@dataclass(frozen=True)
class _Context:
    """What a worker is given: it finds a source by what is sent to it, not by a name in a registry of its own."""

    model: Path
    store: Path
    alignment: AlignmentSettings
    source: Source
    aligned: bool


@dataclass(frozen=True)
class _Cut:
    """One face as it was found: where it is cut, its 478 points in photo pixels, its pose, and the crop."""

    square: Square
    points: Points
    pose: NDArray[np.float64]
    crop: NDArray[np.uint8]
    padding: float


def store_key(alignment: AlignmentSettings, model_sha256: str, layout: str, aligned: str = "") -> str:
    """The name of the store's folder for faces cut in this way: settings, landmark model, code, packages, and the
    layout, which says which face of a photo is meant, with the code that reads its labelled parts; and the template of
    photos that are ``aligned``."""
    code = [Path(__file__), Path(store.__file__), *sources_of(geometry, images, landmarks, mtcnn, small_faces)]
    if (read_parts := source_of(layout).parts) is not None:
        code += [Path(parts.__file__), Path(sys.modules[read_parts.__module__].__file__ or "")]
    made = made_by(code, ("av", "mediapipe", "numpy", "onnxruntime", "pillow", "pillow-heif"))
    chosen = alignment.model_dump(exclude={"workers", "no_face"})
    return digest_of({"settings": chosen, "model": model_sha256, "source": layout, "aligned": aligned, **made})[:16]


def align(manifest: Manifest, alignment: AlignmentSettings, model: Path, folder: Path) -> Manifest:
    """Cut the faces out of the manifest's photos into stores under ``folder``, one for each layout, and list them.

    ``model`` is the FaceLandmarker bundle. Photos without a usable face are quarantined with code and reason;
    faces smaller than the crop are never enlarged.

    Raises:
        FaceReconError: a photo has no face and the settings say ``fail``, no photo has a usable one, or a source's
            photos are no crops of the template that it names, or not all of one size.
    """
    photos: list[dict[str, Any]] = cast(list[dict[str, Any]], manifest.faces.to_dict("records"))
    model_sha256 = sha256_file(model)
    places = {
        name: Path(folder) / store_key(alignment, model_sha256, source.layout, source.aligned)
        for name, source in manifest.sources.items()
    }
    held: dict[Path, set[str]] = {place: set() for place in places.values()}
    for photo in photos:
        held[places[photo["source"]]].add(photo["sha256"])
    for place in held:
        place.mkdir(parents=True, exist_ok=True)
        FaceStore.drop_damaged(place)
    done = FaceStore(held)
    unreadable: dict[str, Refusal] = {}
    for name, place in places.items():
        source = source_of(manifest.sources[name].layout)
        tasks = [_task(photo, manifest) for photo in photos if photo["source"] == name]
        changed = _with_other_truth(tasks, source, done)
        changed |= {task.sha256 for task in tasks if task.sha256 in done and done.anchor(task.sha256) != task.anchor}
        if changed:
            FaceStore.remove(place, changed)
        new = [task for task in tasks if task.sha256 not in done or task.sha256 in changed]
        unreadable |= _align_all(new, _Context(model, place, alignment, source, bool(manifest.sources[name].aligned)))
    done = FaceStore(held)
    for name, where in manifest.sources.items():
        if where.aligned:
            _check_template(where, [photo["sha256"] for photo in photos if photo["source"] == name], done)

    rows: list[dict[str, Any]] = []
    refused: list[tuple[str, str, Refusal]] = []
    for photo in photos:
        sha256 = photo["sha256"]
        refusal = unreadable.get(sha256) or done.refusal(sha256)
        if refusal and refusal.code == Code.NO_FACE and alignment.no_face == "fail":
            raise FaceReconError(
                f"alignment.no_face: no face found in {photo['uri']}: remove the photo or set it to 'quarantine'"
            )
        if refusal:
            refused.append((photo["source"], photo["uri"], refusal))
            continue
        for index, face in enumerate(done.faces(sha256)):
            # the layout names one person per photo: further faces are someone else, in the same split
            rows.append({**photo, "face": face, "identity": photo["identity"] + (f"-{index}" if index else "")})
    if not rows:
        roots = ", ".join(source.root for source in manifest.sources.values())
        raise FaceReconError(
            f"no usable face in any of the {len(photos)} photos under {roots} "
            f"(first: {refused[0][1]}: {refused[0][2].reason}): give photos of faces at least "
            f"{alignment.size} px wide, or lower alignment.size"
        )
    faces = pd.DataFrame(rows, columns=list(PHOTO_COLUMNS))
    faces = faces.assign(**done.columns(faces["face"].tolist()))
    return replace(
        manifest,
        faces=faces[[*PHOTO_COLUMNS, *FACE_COLUMNS]],
        quarantine=pd.concat([manifest.quarantine, quarantine_table(refused)]),
        store={name: str(place) for name, place in places.items()} if manifest.several else str(*held),
        size=alignment.size,
        truth=_truth_digest(done, faces["face"].tolist()),
    )


def _truth_digest(store: FaceStore, faces: list[str]) -> str:
    found = {face: digest for face in faces if (digest := store.truth_sha256(face))}
    return digest_of(found) if found else ""


def _with_other_truth(tasks: list[_Task], source: Source, done: FaceStore) -> set[str]:
    """Photos in the store, by SHA-256, whose truth is not what it was when they were aligned."""
    if source.truth is None:
        return set()
    changed = set()
    for task in track((task for task in tasks if task.sha256 in done), "reading truth", len(tasks)):
        refusal = done.refusal(task.sha256)
        if refusal is None:
            try:
                now = arrays_digest(_read_truth(source, task))
            except (OSError, UnreadableImageError):
                now = "cannot be read"
            same = now == done.truth_sha256(done.faces(task.sha256)[0])
        else:
            same = refusal.code != Code.BAD_TRUTH
        if not same:
            changed.add(task.sha256)
    return changed


def _read_truth(source: Source, task: _Task) -> dict[str, NDArray[Any]]:
    """The truth beside a photo as arrays; of a source that has none, none."""
    if source.truth is None:
        return {}
    truth = {name: np.asarray(array) for name, array in source.truth(task.root, task.uri).items()}
    for name, array in truth.items():
        if not re.fullmatch(r"[a-z0-9_]+", name) or array.dtype.kind not in "biuf" or array.itemsize > 8:
            raise FaceReconError(
                f"truth beside {task.uri}: '{name}' is an array of {array.dtype}: its source must give numbers under a "
                "name of small letters, digits and _"
            )
    return {name: array.astype(array.dtype.newbyteorder("="), copy=False) for name, array in truth.items()}


def _task(photo: dict[str, Any], manifest: Manifest) -> _Task:
    anchor = (photo["anchor_x"], photo["anchor_y"])
    root = manifest.frames if photo["file"] else manifest.sources[photo["source"]].root
    uri = photo["file"] or photo["uri"]
    return _Task(Path(root), uri, photo["sha256"], None if np.isnan(anchor[0]) else anchor)


def _align_all(tasks: list[_Task], context: _Context) -> dict[str, Refusal]:
    """Align the photos of ``tasks`` into the store; why some cannot be read, by SHA-256."""
    workers = max(1, min(context.alignment.workers, len(tasks) // PHOTOS_PER_WORKER))
    most = max(1, SHARD_BYTES // (context.alignment.size**2 * 3))
    # few photos are dealt out evenly, many in shards of a fair size
    each = max(1, min(256, most, -(-len(tasks) // (4 * workers))))
    chunks = [tasks[start : start + each] for start in range(0, len(tasks), each)]
    unreadable: dict[str, Refusal] = {}
    for part in track(_in_workers(chunks, context, workers), f"aligning faces, {each} photos at a time", len(chunks)):
        unreadable |= part
    return unreadable


def _in_workers(chunks: list[list[_Task]], context: _Context, workers: int) -> Iterator[dict[str, Refusal]]:
    """``_align_chunk`` of each, by worker processes, or by this one if a single worker is asked for."""
    if not chunks:
        return
    if context.alignment.small_faces == "mtcnn":
        for name in mtcnn.WEIGHTS:
            weights_path(name)  # fetched here, once
    if workers == 1:
        threads = cv2.getNumThreads()
        _start_worker(context)
        try:
            yield from map(_align_chunk, chunks)
        finally:
            _end_worker()
            cv2.setNumThreads(threads)
        return
    # spawn: MediaPipe's threads do not survive a fork
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_process, (context,)) as pool:
        try:
            yield from pool.map(_align_chunk, chunks)
        except BrokenProcessPool as error:
            raise FaceReconError(
                "alignment: a worker process was ended (out of memory?): run again, it goes on where it was; "
                "a lower alignment.workers needs less memory"
            ) from error
        finally:
            # whoever stops here, by an error or by Ctrl-C, does not want to wait for the rest
            pool.shutdown(cancel_futures=True)


_worker: tuple[FaceLandmarker, _Context] | None = None


def _start_process(context: _Context) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: who started this process ends it
    _start_worker(context)


def _start_worker(context: _Context) -> None:
    global _worker
    cv2.setNumThreads(1)
    _worker = (FaceLandmarker(context.model, min_confidence=context.alignment.min_confidence), context)


def _end_worker() -> None:
    global _worker
    if _worker:
        _worker[0].close()
    _worker = None


def _align_chunk(tasks: list[_Task]) -> dict[str, Refusal]:
    """Write one shard of what the photos of ``tasks`` hold; why some cannot be read, by SHA-256."""
    assert _worker is not None
    detector, context = _worker
    aligned, unreadable = [], dict[str, Refusal]()
    for task in tasks:
        try:
            content = read_bytes(task.root, task.uri)
            if sha256_bytes(content) != task.sha256:
                unreadable[task.sha256] = Refusal(Code.CHANGED, "changed since it was listed")
                continue
            image = read_rgb(content)
        except OSError as error:
            unreadable[task.sha256] = refusal_of(error)
            continue
        except UnreadableImageError as error:
            aligned.append(AlignedPhoto(task.sha256, refusal_of(error), []))
            continue
        if context.aligned:
            refusal, found = _find_aligned(image, detector, context.alignment)
        else:
            refusal, found = _find_faces(image, detector, context.alignment, task.anchor)
        read_parts = context.source.parts
        try:
            parts = read_parts(task.root, task.uri) if read_parts and found else None
        except UnreadableImageError as error:
            bad = Refusal(Code.BAD_TRUTH, f"parts of the face: {error}")
            aligned.append(AlignedPhoto(task.sha256, bad, []))
            continue
        try:
            truth = _read_truth(context.source, task) if found else {}
        except (OSError, UnreadableImageError) as error:
            bad = Refusal(Code.BAD_TRUTH, f"truth beside the photo: {refusal_of(error).reason}")
            aligned.append(AlignedPhoto(task.sha256, bad, []))
            continue
        faces = [_face(each, parts, truth, image.shape[1]) for each in found]
        aligned.append(AlignedPhoto(task.sha256, refusal, faces))
    if aligned:
        anchors = {task.sha256: task.anchor for task in tasks}
        FaceStore.write(context.store, [replace(photo, anchor=anchors[photo.sha256]) for photo in aligned])
    return unreadable


def _find_faces(
    image: NDArray[np.uint8],
    detector: FaceLandmarker,
    alignment: AlignmentSettings,
    anchor: tuple[float, float] | None,
) -> tuple[Refusal | None, list[_Cut]]:
    """The faces to keep, largest first, and why there is none. With an ``anchor`` only the face around it counts."""
    detected = detector.detect(image) or _small_faces(image, detector, alignment)
    found = [(face_square(sixty_eight(points)), points, matrix) for points, matrix in detected]
    found.sort(key=lambda face: -face[0].side)
    if not found:
        return Refusal(Code.NO_FACE, "no face found"), []
    if anchor is not None:
        found = [face for face in found if _within(anchor, face[0])][:1]
        if not found:
            return Refusal(Code.NO_FACE_AT_ANCHOR, "no face found where the source says that there is one"), []
    if len(found) > 1 and alignment.several_faces == "quarantine":
        return Refusal(Code.SEVERAL_FACES, f"{len(found)} faces found"), []
    if alignment.several_faces == "largest":
        found = found[:1]
    faces, refused = [], []
    for square, points, matrix in found:
        if square.side < alignment.size:
            reason = f"face too small: {square.side:.0f} px for a crop of {alignment.size} px"
            refused.append(Refusal(Code.TOO_SMALL, reason))
            continue
        crop, padding = cut(image, square, alignment.size)
        if padding > alignment.max_padding:
            reason = f"face cut off: {padding:.0%} of the crop lies outside the photo"
            refused.append(Refusal(Code.CUT_OFF, reason))
            continue
        faces.append(_Cut(square, points, matrix, crop, padding))
    return (None if faces else refused[0]), faces


def _find_aligned(
    image: NDArray[np.uint8], detector: FaceLandmarker, alignment: AlignmentSettings
) -> tuple[Refusal | None, list[_Cut]]:
    """The face of a photo that is an aligned crop itself, kept whole, or why there is none."""
    height, width = image.shape[:2]
    if height != width:
        return Refusal(Code.NOT_ALIGNED, f"no square: {width}x{height} pixels"), []
    if width < alignment.size:
        return Refusal(Code.TOO_SMALL, f"a crop of {width} px for one of {alignment.size} px"), []
    around = width // 2  # the detector wants to see more than the face
    seen = cv2.copyMakeBorder(image, around, around, around, around, cv2.BORDER_REPLICATE)
    found = [(points - [around, around, 0], matrix) for points, matrix in detector.detect(seen.astype(np.uint8))]
    if not found:
        return Refusal(Code.NO_FACE, "no face found"), []
    points, matrix = max(found, key=lambda face: face_square(sixty_eight(face[0])).side)
    square = Square(np.zeros(2, np.float32), np.array([width, 0], np.float32))
    crop, _ = cut(image, square, alignment.size)
    return None, [_Cut(square, points.astype(np.float32), matrix, crop, 0.0)]


def _check_template(source: SourceRoot, photos: list[str], done: FaceStore) -> None:
    """See that a source's crops are of the template that it names, and of one size."""
    faces = [face for photo in photos if photo in done and not done.refusal(photo) for face in done.faces(photo)]
    if not faces or not source.aligned:
        return
    sizes = sorted({round(side) for side in done.columns(faces)["quad"]})
    if len(sizes) > 1:
        raise FaceReconError(
            f"data.aligned: crops of {', '.join(map(str, sizes[:4]))} px under {source.root}, and aligned crops are of "
            "one size: give each size a source of its own"
        )
    five = np.stack([done.points(face).five for face in faces]) / done.crop(faces[0]).shape[0]
    if said := misfit(source.aligned, five):
        raise FaceReconError(
            f"data.aligned: {said}: name another template of {', '.join(TEMPLATES)}, or leave data.aligned out, and "
            "faces are found and cut out"
        )


def _small_faces(
    image: NDArray[np.uint8], detector: FaceLandmarker, alignment: AlignmentSettings
) -> list[tuple[Points, NDArray[np.float64]]]:
    """The faces of a photo in which none was found at once, of the largest windows in which there are any."""
    match alignment.small_faces:
        case "tiles":
            levels = (detect_in(image, windows, detector) for windows in window_levels(*image.shape[:2]))
            return next((faces for faces in levels if faces), [])
        case "mtcnn":
            faces = _mtcnn().detect(image, alignment.size // 2)
            boxes = faces.boxes[faces.confidences >= alignment.min_confidence].astype(np.float64)
            largest_first = sorted(boxes, key=lambda box: -np.prod(box[2:] - box[:2]))
            return detect_in(image, [around(box, image.shape) for box in largest_first], detector)
    return []


@lru_cache(maxsize=1)
def _mtcnn() -> mtcnn.Mtcnn:
    # opened when a photo needs it; one thread: photos are read by several processes
    return mtcnn.Mtcnn(threads=1)


def _within(anchor: tuple[float, float], square: Square) -> bool:
    """Whether a point between the eyes can be this face's: it lies in the inner half of its square."""
    place = square.to_crop(np.array([anchor], dtype=np.float32), 1)[0]
    return bool((np.abs(place - 0.5) < 0.25).all())


def _face(found: _Cut, parts: NDArray[np.uint8] | None, truth: Mapping[str, NDArray[Any]], width: int) -> AlignedFace:
    """Measure a face that was cut out of a photo ``width`` pixels wide."""
    crop, size = found.crop, found.crop.shape[0]
    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    low, high = found.points[:, :2].min(0), found.points[:, :2].max(0)
    points68 = sixty_eight(found.points)
    yaw, pitch, roll = head_angles(found.pose)
    measures = Measures(
        box_x=float(low[0]),
        box_y=float(low[1]),
        box_width=float(high[0] - low[0]),
        box_height=float(high[1] - low[1]),
        quad=found.square.side,
        eyes=eye_distance(points68),
        padding=found.padding,
        yaw=yaw,
        pitch=pitch,
        roll=roll,
        sharpness=float(cv2.Laplacian(gray, cv2.CV_64F).var()),
        brightness=float(gray.mean()),
    )
    none = np.zeros((size, size), np.uint8)
    return AlignedFace(
        crop=crop,
        five=found.square.to_crop(five_points(found.points), size),
        sixty_eight=found.square.to_crop(points68, size),
        all478=found.points,
        phash=cv2.img_hash.pHash(gray)[0],
        parts=none if parts is None else cut_labels(parts, parts.shape[1] / width, found.square, size),
        measures=measures,
        truth=truth,
    )
