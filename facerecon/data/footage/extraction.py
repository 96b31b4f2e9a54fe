"""From a clip to the faces that are kept of it: one archive a clip, written once and whole.

The archive is a stored zip of PNG files and ``clip.json``, the record of what was found. It is named by the SHA-256 of
the clip's bytes and a digest of all that decides what is in it, so a clip that is done is not decoded again, whatever
it is called now. A clip that cannot be used leaves an archive with the reason. What other code, other packages or other
settings have made is not found any more, and takes up space until `make clean`.
"""

import json
import logging
import multiprocessing
import signal
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from facerecon import formats, images
from facerecon.data.containers import write_zip
from facerecon.data.footage.decode import Frame, Tally, UnusableClipError, clip_digest, read_frames, refuse_marked
from facerecon.data.footage.detection import SURE, FaceFinder, Found
from facerecon.data.footage.selection import Best, Kept, Quality, measure, region
from facerecon.data.footage.tracking import Track, Tracker
from facerecon.data.provenance import made_by, sources_of
from facerecon.data.quarantine import Code, Refusal, refusal_of
from facerecon.data.settings import FootageSettings
from facerecon.errors import FaceReconError
from facerecon.files import digest_of
from facerecon.perception import identity, landmarks, mtcnn
from facerecon.perception.identity import IdentityNetwork, load_identity
from facerecon.perception.landmarks import FaceLandmarker, five_points
from facerecon.progress import track
from facerecon.weights import digest, weights_path

LOG = logging.getLogger(__name__)

RECORD = "clip.json"

NO_FACE = "no face found"

NETWORKS = ("face_landmarker", "sface", *mtcnn.WEIGHTS)
"""The weights of all networks that look at frames."""

_ABOUT_PEOPLE = {"same_person", "similarity", "workers"}
"""Settings that change nothing of what is taken out of a clip."""

_UNSEEN = 0.5
"""A face in which FaceLandmarker finds no points has its score multiplied by this: alignment would refuse it."""


_KEPT_UNSEEN = 24
"""So many frames at most are kept of a clip that has shown no face yet."""


@dataclass(frozen=True)
class Extracted:
    """What came of a clip: its ``archive``'s name and ``record``, or why it is ``refused``."""

    refused: Refusal | None
    archive: str = ""
    record: dict[str, Any] | None = None


def archive_key(settings: FootageSettings) -> str:
    """A digest of all that decides what is taken out of a clip beside its bytes: settings, networks, code, packages."""
    chosen = settings.model_dump(mode="json", exclude=_ABOUT_PEOPLE)
    code = [*sorted(Path(__file__).parent.glob("*.py")), *sources_of(formats, images, identity, landmarks, mtcnn)]
    made = made_by(code, ("av", "mediapipe", "numpy", "onnxruntime", "pillow", "pillow-heif", "scipy", "torch"))
    networks = [digest(name) for name in NETWORKS]
    return digest_of({"settings": chosen, "networks": networks, "ffmpeg": av.library_versions, **made})[:16]


def archive_name(sha256: str, key: str) -> str:
    """The file name of a clip's archive, by ``archive_key``."""
    return f"{sha256}-{key}.zip"


def extract_all(clips: Sequence[Path], folder: Path, settings: FootageSettings) -> list[Extracted]:
    """What comes of each clip; ``folder`` keeps the archives. Several clips are read at a time.

    Raises:
        FaceReconError: no worker process starts, or there is no space left.
    """
    key = archive_key(settings)
    with ThreadPoolExecutor(settings.workers) as pool:
        found = list(track(pool.map(lambda clip: _look_up(clip, folder, key), clips), "listing clips", len(clips)))
    # a clip that lies there twice is read once
    missing = {each.archive: clip for clip, each in zip(clips, found, strict=True) if each.archive and not each.record}
    tasks = [(clip, folder / archive) for archive, clip in missing.items()]
    reasons = dict(zip(missing, track(_in_workers(tasks, settings), "reading clips", len(tasks)), strict=True))
    return [_made(each, folder, reasons[each.archive]) if each.archive in missing else each for each in found]


def _look_up(clip: Path, folder: Path, key: str) -> Extracted:
    """What is there of a clip; no record if it is still to be read."""
    try:
        archive = archive_name(clip_digest(clip), key)
    except OSError as error:
        return Extracted(refusal_of(error))
    except UnusableClipError as error:
        return Extracted(Refusal(error.code, str(error)))
    record = read_record(folder / archive)
    return Extracted(_refusal(record) if record else None, archive, record)


def _made(clip: Extracted, folder: Path, refused: Refusal | None) -> Extracted:
    """A clip that was read; ``refused`` is why it has no archive, None if it has one."""
    record = None if refused else read_record(folder / clip.archive)
    return Extracted(_refusal(record) if record else refused, clip.archive, record)


def _refusal(record: dict[str, Any]) -> Refusal | None:
    return Refusal(Code(record["code"]), record["refused"]) if record["refused"] else None


def _in_workers(tasks: list[tuple[Path, Path]], settings: FootageSettings) -> Iterator[Refusal | None]:
    """``_extract`` of each, by worker processes, or by this one if one is enough."""
    if not tasks:
        return
    model, *_ = map(weights_path, NETWORKS)  # fetched here, once
    workers = min(settings.workers, len(tasks))
    if workers == 1:
        threads = cv2.getNumThreads(), torch.get_num_threads()
        _start_worker(settings, model, True)
        try:
            yield from map(_extract, tasks)
        finally:
            _end_worker()
            cv2.setNumThreads(threads[0])
            torch.set_num_threads(threads[1])
        return
    left = list(tasks)
    try:
        with _pool(workers, settings, model) as pool:
            for refused in pool.map(_extract, tasks):
                yield refused
                del left[0]
    except BrokenProcessPool:
        LOG.warning("a process that read clips was ended (out of memory?): the others are read one at a time")
        yield from _one_at_a_time(left, settings, model)


def _one_at_a_time(tasks: list[tuple[Path, Path]], settings: FootageSettings, model: Path) -> Iterator[Refusal | None]:
    """``_extract`` of each, by a process that is alone: if it is ended, the clip that it reads is to blame.

    Nothing is kept of such a clip: the next run tries it again.
    """
    left = list(tasks)
    while left:
        with _pool(1, settings, model) as pool:
            try:
                pool.submit(int).result()
            except BrokenProcessPool as error:  # before it has seen a clip
                raise FaceReconError(
                    "data.footage: a process that reads clips does not start (out of memory?): run again, clips that "
                    "are done are kept"
                ) from error
            try:
                for refused in pool.map(_extract, left.copy()):
                    yield refused
                    del left[0]
            except BrokenProcessPool:
                yield Refusal(Code.BAD_CLIP, "ended the process that read it (out of memory?)")
                del left[0]


@contextmanager
def _pool(workers: int, settings: FootageSettings, model: Path) -> Iterator[ProcessPoolExecutor]:
    # spawn: MediaPipe's threads do not survive a fork
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start_worker, (settings, model, False)) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Models:
    settings: FootageSettings
    finder: FaceFinder
    landmarker: FaceLandmarker
    identity: IdentityNetwork
    alone: bool
    open: ExitStack


_worker: _Models | None = None


def _start_worker(settings: FootageSettings, model: Path, alone: bool) -> None:
    global _worker
    if not alone:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: who started this process ends it
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    stack = ExitStack()
    finder = stack.enter_context(closing(FaceFinder(settings, model)))
    landmarker = stack.enter_context(FaceLandmarker(model))
    _worker = _Models(settings, finder, landmarker, load_identity("sface"), alone, stack)


def _end_worker() -> None:
    global _worker
    if _worker:
        _worker.open.close()
    _worker = None


def _extract(task: tuple[Path, Path]) -> Refusal | None:
    """Read a clip and write its archive; why there is none, which may be mended until the next time."""
    assert _worker is not None
    clip, archive = task
    if read_record(archive):  # done by a process that was ended before it could tell
        return None
    try:
        _write_archive(clip, archive, _worker)
        if archive.name.startswith(clip_digest(clip)):
            return None
    except OSError as error:
        return refusal_of(error)
    archive.unlink()
    return Refusal(Code.CHANGED, "changed while it was read")


def read_record(archive: Path) -> dict[str, Any] | None:
    """The record in a clip's archive; None if there is no archive, or a damaged one."""
    try:
        with zipfile.ZipFile(archive) as members:
            record: dict[str, Any] = json.loads(members.read(RECORD))
            return record
    except (FileNotFoundError, zipfile.BadZipFile, KeyError, ValueError):
        return None


def _write_archive(clip: Path, archive: Path, models: _Models) -> None:
    """Read ``clip`` and write its archive; one with nothing but the reason if it cannot be used."""
    try:
        write_zip(archive, _members(clip, models))
    except UnusableClipError as error:
        write_zip(archive, [(RECORD, _json({"refused": str(error), "code": error.code.value, "tracks": []}))])


def _members(clip: Path, models: _Models) -> Iterator[tuple[str, bytes]]:
    """Read ``clip``: the pictures of each track when it is over, at the end the record."""
    refuse_marked(clip)
    settings, tally = models.settings, Tally()
    tracker, best, rows = Tracker(settings.max_gap), dict[int, Best](), []
    size, recording = (0, 0), 0
    unseen = _Unseen(settings)
    frames = read_frames(clip, settings, tally)
    # of clips read side by side the frames are not shown
    for frame in track(frames, f"reading {clip.name}") if models.alone else frames:
        size = frame.image.shape[1], frame.image.shape[0]
        ended = tracker.end_lost(frame.time) if frame.recording == recording else tracker.end_all()
        recording = frame.recording
        for over in ended:
            rows.append(_row(over, best[over.number]))
            yield from _pictures(over, best.pop(over.number))
        everyone = models.finder.find_all(frame.image)
        found = [face for face in everyone if face.height >= settings.min_face]
        unseen.add(frame.image, everyone)
        qualities = [measure(frame.image, face) for face in found]
        embeddings = _embed(frame.image, found, models.identity)
        followed = tracker.update(frame.time, found, embeddings, [quality.score for quality in qualities])
        for face, quality, one in zip(found, qualities, followed, strict=True):
            chosen = best.setdefault(one.number, Best(settings.best_per_track, settings.seconds_apart))
            if chosen.wants(frame.time, _rank(quality.score, frame)):
                chosen.add(_kept(frame, face, quality, models.landmarker))
    for over in tracker.end_all():
        rows.append(_row(over, best[over.number]))
        yield from _pictures(over, best[over.number])
    rows.sort(key=lambda row: int(row["number"]))
    refused = None if rows else unseen.refusal(models.finder)
    told = {"refused": refused.reason if refused else "", "code": refused.code.value if refused else ""}
    yield RECORD, _json({**told, "size": size, **asdict(tally), "tracks": rows})


class _Unseen:
    """Why a clip shows no face: none is there, or those there are too small.

    A few frames are kept, evenly over what has been read, until a face is found that is read.
    """

    def __init__(self, settings: FootageSettings) -> None:
        self._settings = settings
        self._kept: list[bytes] = []
        self._met, self._every, self._tallest = 0, 1, 0.0

    def add(self, image: NDArray[np.uint8], found: list[Found]) -> None:
        """One more frame, and all faces that were found in it."""
        self._tallest = max([self._tallest, *(face.height for face in found if face.confidence >= SURE)])
        if self._tallest:
            self._kept = []
        elif self._met % self._every == 0:
            _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
            self._kept.append(encoded.tobytes())
            if len(self._kept) == _KEPT_UNSEEN:
                self._kept, self._every = self._kept[::2], 2 * self._every
        self._met += 1

    def refusal(self, finder: FaceFinder) -> Refusal:
        """The reason, for a clip of which no face is read."""
        least, every = self._settings.min_face, self._settings.detector == "mediapipe"
        heights = (finder.tallest_overlooked(_of_jpeg(each)) for each in self._kept)
        # what is large enough for MTCNN, and was not found before, is none of the faces that it is asked for
        tallest = self._tallest or next((height for height in heights if height and (every or height < least)), 0.0)
        if not tallest:
            return Refusal(Code.NO_FACE, NO_FACE)
        said = f"faces too small: about {tallest:.0f} px high"
        limit = f"at least {least} are read" if tallest < least else ""
        if self._tallest or not every:
            return Refusal(Code.TOO_SMALL, f"{said}, {limit} (data.footage.min_face)")
        unseen, remedy = "MediaPipe does not see them", "data.footage.detector: auto"
        if limit:
            unseen, remedy = f"{unseen}, and {limit}", f"{remedy}, data.footage.min_face"
        return Refusal(Code.TOO_SMALL, f"{said}, {unseen} ({remedy})")


def _of_jpeg(encoded: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)


def _member(one: Track, face: Kept) -> str:
    return f"{one.number}/{face.frame}.png"


def _pictures(one: Track, best: Best) -> Iterator[tuple[str, bytes]]:
    """What is kept of a track that is over."""
    return ((_member(one, face), face.png) for face in best.faces())


def _row(one: Track, best: Best) -> dict[str, Any]:
    """A track in the record."""
    faces = []
    for face in best.faces():
        about = {"member": _member(one, face), "frame": face.frame, "time": face.time, "score": face.score}
        faces.append({**about, "anchor": face.anchor, "corner": face.corner, **asdict(face.quality)})
    about_track = {"number": one.number, "first": one.first, "last": one.last, "seen": one.seen}
    return {**about_track, "embedding": one.embedding.tolist(), "faces": faces}


def _json(record: dict[str, Any]) -> bytes:
    return json.dumps(record, allow_nan=False).encode()


def _embed(image: NDArray[np.uint8], found: list[Found], network: IdentityNetwork) -> NDArray[np.float32]:
    """Unit embeddings [N, D] of the faces in a frame."""
    embeddings = np.empty((len(found), network.dimensions), np.float32)
    for row, face in enumerate(found):
        left, top, right, bottom = region(image, face.box)
        pixels = torch.from_numpy(image[top:bottom, left:right].transpose(2, 0, 1).astype(np.float32) / 127.5 - 1)
        points = torch.from_numpy(face.points - np.array([left, top], np.float32))
        with torch.inference_mode():
            embeddings[row] = network.embed(pixels[None], points[None])[0].numpy()
    return np.nan_to_num(embeddings)


def _rank(score: float, frame: Frame) -> float:
    """The score by which a face is chosen: one of an interlaced frame comes after all others, it has half the lines."""
    return score - 1 if frame.interlaced else score


def _kept(frame: Frame, face: Found, quality: Quality, landmarker: FaceLandmarker) -> Kept:
    left, top, right, bottom = region(frame.image, face.box)
    pixels = np.ascontiguousarray(frame.image[top:bottom, left:right])
    anchor, score = face.points[:2].mean(0) - [left, top], quality.score
    eyes = [five_points(points)[:2].mean(0) for points, _ in landmarker.detect(pixels)]
    nearest = min(eyes, key=lambda middle: float(np.hypot(*(middle - anchor))), default=None)
    if nearest is not None and np.hypot(*(nearest - anchor)) < face.height / 2:
        anchor = nearest
    else:
        score *= _UNSEEN
    _, png = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    place = (float(anchor[0]), float(anchor[1]))
    return Kept(frame.number, frame.time, _rank(score, frame), quality, (left, top), place, png.tobytes())
