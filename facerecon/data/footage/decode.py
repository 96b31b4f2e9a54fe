"""Reading clips frame by frame: videos by PyAV, and folders of numbered images.

A few frames are in memory at a time, however long the clip is. A video is read through an open file and by a list of
formats: playlists and scripts, which would lead to other files or to the network, are no clips.

Time never goes back. A recorder that was restarted, a clock that was set back and recordings that were joined leave
stamps that do: from there on a new recording is told, whose time goes on where that of the one before ended.
"""

import errno
import hashlib
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from facerecon.data.footage import colour
from facerecon.data.quarantine import Code, RefusedError
from facerecon.data.settings import FootageSettings
from facerecon.files import sha256_file
from facerecon.formats import Kind, format_of, head_of
from facerecon.images import UnreadableImageError, read_rgb
from facerecon.marks import is_marked_clip, is_marked_picture

MAX_PIXELS = 40_000_000
"""Frames with more pixels are refused (8K has 33 million)."""

_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,gif,mpegts,mpeg,mpegvideo,asf,flv,ogg,h264,hevc,dhav"
"""The demuxers that are asked, by name: none of them opens another file."""

_WIDEST_PIXEL = 4
"""Pixels more oblong than this, either way, are a mistake in the file and taken for square."""


class UnusableClipError(Exception):
    """This clip cannot be used; the message is the reason that the quarantine list gives, with ``code``."""

    def __init__(self, reason: str, code: Code = Code.BAD_CLIP) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame uint8 [H, W, 3] of a clip: ``number`` from 0 (those that are broken beyond decoding do not count in a
    video), ``time`` in seconds from the first, ``recording`` from 0, one more after each step back in time.

    ``interlaced`` ones are made of one of their two fields, and of the other where nothing moves.
    """

    number: int
    time: float
    image: NDArray[np.uint8]
    recording: int = 0
    interlaced: bool = False


@dataclass
class Tally:
    """What came out of a clip: ``decoded`` frames are ``sampled``, ``broken`` or ``passed_over``, each one of these.

    ``jumps`` counts steps back in time, ``streams`` the video streams, of which one is read.
    """

    decoded: int = 0
    sampled: int = 0
    broken: int = 0
    passed_over: int = 0
    jumps: int = 0
    streams: int = 1

    def lose(self) -> None:
        """Count what was to be decoded and cannot be."""
        self.decoded += 1
        self.broken += 1


def clip_digest(clip: Path) -> str:
    """The SHA-256 of a clip's bytes; of a folder's: that of its frames' digests in their order.

    Raises:
        OSError: it cannot be read.
        UnusableClipError: it is no file or folder.
    """
    if clip.is_dir():
        return hashlib.sha256("".join(map(sha256_file, _frame_files(clip))).encode()).hexdigest()
    if not stat.S_ISREG(clip.stat().st_mode):
        raise UnusableClipError("not a file")  # to open a pipe would wait for ever
    return sha256_file(clip)


def refuse_marked(clip: Path) -> None:
    """Refuse a clip, or a folder with a frame, that is marked as reconstructed.

    Raises:
        OSError: it cannot be read.
        UnusableClipError: it is marked, or cannot be opened.
    """
    if clip.is_dir():
        marked = any(is_marked_picture(path.read_bytes()) for path in _frame_files(clip))
    else:
        _check_format(clip)
        with clip.open("rb") as stream, _open(stream) as container:
            marked = is_marked_clip(container)
    if marked:
        raise UnusableClipError("made by a network, as its mark says", Code.RECONSTRUCTED)


def read_frames(clip: Path, settings: FootageSettings, tally: Tally) -> Iterator[Frame]:
    """The frames of a clip, ``settings.frames_per_second`` of them at most, upright, with square pixels.

    Time is cut into spans of equal length and the first frame of each is taken, so that a variable frame rate is
    followed as it is; the first frame after a step back in time is taken, too. Where a clip has no time stamps (raw
    H.264 and H.265) its frame rate tells the time, 25 a second if it states none. Frames that cannot be decoded are
    passed over; ``tally`` counts while this runs.

    Raises:
        OSError: the clip cannot be read.
        UnusableClipError: it is no video, holds no frame that can be decoded, or its frames are too large.
    """
    found = _folder_frames(clip, settings, tally) if clip.is_dir() else _video_frames(clip, tally)
    latest = None
    for one in found:
        span = one.recording, int(np.floor(one.time * settings.frames_per_second + 1e-6))
        if span == latest:
            tally.passed_over += 1
            continue
        try:
            image = one.decode()
        except UnreadableImageError:
            tally.broken += 1
            continue
        latest = span
        tally.sampled += 1
        yield Frame(one.number, one.time, image, one.recording, one.interlaced)
    if not tally.sampled:
        raise UnusableClipError(f"no frame can be decoded ({tally.broken} broken)" if tally.broken else "no frames")


@dataclass(frozen=True, eq=False)
class _Found:
    """A frame before its pixels are made: ``decode`` makes them, and is not called for frames that are not wanted."""

    number: int
    time: float
    decode: Callable[[], NDArray[np.uint8]]
    recording: int = 0
    interlaced: bool = False


def _frame_files(folder: Path) -> list[Path]:
    """The files in a folder of frames, by the numbers in their names: frame 10 comes after frame 9."""

    def order(path: Path) -> tuple[list[tuple[int, str]], str]:
        parts = re.split(r"(\d+)", path.name)
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], path.name

    return sorted((path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")), key=order)


def _folder_frames(folder: Path, settings: FootageSettings, tally: Tally) -> Iterator[_Found]:
    for number, path in enumerate(_frame_files(folder)):

        def decode(path: Path = path) -> NDArray[np.uint8]:
            try:
                image = read_rgb(path)
            except OSError as error:
                raise UnreadableImageError(str(error.strerror)) from error
            _check_size(image.shape[1], image.shape[0])
            return image

        tally.decoded += 1
        yield _Found(number, number / settings.folder_rate, decode)


def _video_frames(clip: Path, tally: Tally) -> Iterator[_Found]:
    _check_format(clip)
    with clip.open("rb") as stream, _open(stream) as container:
        video, tally.streams = _largest(container)
        _check_size(video.codec_context.width, video.codec_context.height)
        video.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        clock = _Clock(1 / float(video.average_rate or video.guessed_rate or 25), tally)
        for number, (before, frame, after) in enumerate(_with_neighbours(_decoded(container, video, tally))):
            _check_size(frame.width, frame.height)
            time = clock.time(frame, after)
            if time is None:
                tally.passed_over += 1
                continue
            decode = partial(_pixels, frame, before, after, video.sample_aspect_ratio)
            yield _Found(number, time, decode, tally.jumps, frame.interlaced_frame)


def _largest(container: InputContainer) -> tuple[VideoStream, int]:
    """The video stream with the largest frames, and how many there are to choose from; pictures attached are none.

    Of equal ones that which the file says to be the usual one, then that with most bits, then the first.
    """
    kinds = av.stream.Disposition
    videos = [video for video in container.streams.video if not video.disposition & kinds.attached_pic]
    # one whose codec is not known has no decoder
    known = [video for video in videos if video.codec_context is not None]
    if videos and not known:
        raise UnusableClipError("its codec is not known", Code.UNSUPPORTED)
    if not known:
        raise UnusableClipError("holds no video, or its index is cut off")

    def order(video: VideoStream) -> tuple[int, bool, int]:
        coder = video.codec_context
        return coder.width * coder.height, bool(video.disposition & kinds.default), coder.bit_rate or 0

    return max(known, key=order), len(videos)


class _Clock:
    """The time of each frame in seconds from the first; it never goes back.

    ``length`` is a frame's in seconds, where frames do not tell theirs.
    """

    def __init__(self, length: float, tally: Tally) -> None:
        self._usual, self._tally = length, tally
        self._stamp: float | None = None
        self._length = self._ahead = 0.0

    def time(self, frame: VideoFrame, after: VideoFrame | None) -> float | None:
        """The time of a frame, None if its stamp is wrong: it lies before the last one, and the next one's after it.

        Where stamps go back for good, the frame follows on the last one, and ``tally`` counts a jump.
        """
        stamp = frame.time
        if self._stamp is None:
            stamp = stamp or 0.0
            self._ahead = -stamp
        elif stamp is None:
            stamp = self._stamp + self._length
        elif stamp < self._stamp:
            if after is not None and after.time is not None and after.time > self._stamp:
                return None
            self._ahead += self._stamp + self._length - stamp
            self._tally.jumps += 1
        self._stamp = stamp
        told = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 0.0
        self._length = told if told > 0 else self._usual
        return stamp + self._ahead


def _with_neighbours(
    frames: Iterator[VideoFrame],
) -> Iterator[tuple[VideoFrame | None, VideoFrame, VideoFrame | None]]:
    """Each frame between those before and after it; None at the ends."""
    before, frame = None, next(frames, None)
    while frame is not None:
        after = next(frames, None)
        yield before, frame, after
        before, frame = frame, after


def _check_format(clip: Path) -> None:
    """Refuse what is no clip by its content, and formats that are not read, by name."""
    found = format_of(head_of(clip))
    if found is None or found.name == "GIF":
        return
    if found.kind is not Kind.CLIP:
        raise UnusableClipError(f"no clip: its content is {found.name}")
    if not found.read:
        raise UnusableClipError(f"{found.name}: a format that is not read", Code.UNSUPPORTED)


def _open(stream: Any) -> InputContainer:
    try:
        return av.open(
            stream,
            container_options={"format_whitelist": _FORMATS},
            metadata_errors="replace",
            io_open=_refuse_other_files,
        )
    except (av.FFmpegError, OSError) as error:
        if not _is_damage(error):
            raise
        raise UnusableClipError(f"cannot be decoded: {error.strerror}") from error


def _is_damage(error: Exception) -> bool:
    """Whether the clip's content is at fault, and not the disk; seeking outside a file is such a fault, too."""
    return isinstance(error, av.FFmpegError) or getattr(error, "errno", None) == errno.EINVAL


def _refuse_other_files(url: str, flags: int, options: dict[str, Any]) -> NoReturn:
    raise UnusableClipError("refers to other files")


def _decoded(container: InputContainer, video: VideoStream, tally: Tally) -> Iterator[VideoFrame]:
    """All frames that can be decoded. What is broken is counted; where no more packets come, the clip ends."""
    packets = container.demux(video)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.FFmpegError, OSError) as error:
            if not _is_damage(error):
                raise
            tally.lose()
            return
        if not packet.size and packet.pts is not None:
            continue  # the picture before it is shown on (Theora, AVI): nothing is lost
        try:
            frames = packet.decode()
        except av.FFmpegError:
            tally.lose()
            continue
        for frame in frames:
            if not isinstance(frame, VideoFrame):
                continue
            if frame.is_corrupt:
                tally.lose()
                continue
            tally.decoded += 1
            yield frame


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise UnusableClipError(f"too large: frames of {width}x{height} pixels")


def _pixels(frame: VideoFrame, before: VideoFrame | None, after: VideoFrame | None, pixel: Any) -> NDArray[np.uint8]:
    """RGB pixels, square ones (the longer axis is shrunk: nothing is made up), turned and mirrored as the clip says."""
    try:
        whole = _deinterlaced(frame, before, after) if frame.interlaced_frame else frame
        wide = colour.is_wide(whole)
        image = colour.to_srgb(whole) if wide else whole.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    except RefusedError as error:
        raise UnusableClipError(str(error), error.code) from error
    except (av.FFmpegError, ValueError) as error:
        raise UnreadableImageError(str(error)) from error
    height, width = image.shape[:2]
    ratio = float(pixel or 1)
    if ratio != 1 and 1 / _WIDEST_PIXEL <= ratio <= _WIDEST_PIXEL:
        size = (max(1, round(width * min(1, ratio))), max(1, round(height * min(1, 1 / ratio))))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return np.ascontiguousarray(_upright(image, frame))


def _deinterlaced(frame: VideoFrame, before: VideoFrame | None, after: VideoFrame | None) -> VideoFrame:
    """The frame at the time of its first field, by FFmpeg's bwdif, which looks at the frames before and after it."""

    graph = av.filter.Graph()
    graph.threads = 1
    base = Fraction(1, 1000) if frame.time_base is None else frame.time_base
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=base)
    graph.link_nodes(source, graph.add("bwdif", "mode=send_frame"), graph.add("buffersink")).configure()
    for one in (before, frame, after):
        graph.push(one if one is not None and _form(one) == _form(frame) else frame)
    graph.push(None)
    graph.vpull()
    return graph.vpull()


def _form(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def _upright(image: NDArray[np.uint8], frame: VideoFrame) -> NDArray[np.uint8]:
    """The image in that of the eight orientations which is nearest to the frame's display matrix.

    The matrix takes a pixel at (x, y) to (a x + c y, b x + d y); it is a, b, u, c, d, v, x, y, w, of 32 bits each.
    """
    side_data: Any = frame.side_data  # PyAV's hints say str
    matrix = next((bytes(data) for data in side_data if data.type == Type.DISPLAYMATRIX), None)
    if matrix is None:
        return image
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        image, a, d = image.swapaxes(0, 1), c, b
    return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
