"""Writing clips: H.264 in MP4 for showing, FFV1 in Matroska where no pixel may change."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from facerecon.inference.frames import Image
from facerecon.marks import RECONSTRUCTED, Words, comment_of

TICKS = 90_000
"""A second of a clip's time stamps."""

LOSSY, LOSSLESS = "H.264, 4:2:0, CRF 16, in MP4", "FFV1 version 3, RGB, in Matroska"


class ClipWriter:
    """Frames of one size, written as they come."""

    def __init__(self, container: Any, lossless: bool) -> None:
        self._container, self._lossless = container, lossless
        self._stream: Any = None
        self._last = -1

    def write(self, image: Image, time: float) -> None:
        """Add a frame uint8 [H, W, 3] at ``time`` in seconds; H.264 takes even sides only: the last row or column is
        then doubled."""
        height, width = image.shape[:2]
        if not self._lossless and (height % 2 or width % 2):
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._stream is None:
            self._begin(image.shape[1], image.shape[0])
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        if self._lossless:
            frame = frame.reformat(format="bgr0")
        else:
            frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
        self._last = max(self._last + 1, round(time * TICKS))
        frame.pts, frame.time_base = self._last, Fraction(1, TICKS)
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())

    def _begin(self, width: int, height: int) -> None:
        codec, options = ("ffv1", {"level": "3", "slicecrc": "1"}) if self._lossless else ("libx264", {"crf": "16"})
        stream = self._container.add_stream(codec, rate=Fraction(25), options=options)
        stream.width, stream.height = width, height
        stream.pix_fmt = "bgr0" if self._lossless else "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS)
        if not self._lossless:
            context = stream.codec_context
            context.color_primaries = context.color_trc = context.colorspace = Colorspace.ITU709
            context.color_range = ColorRange.MPEG
        self._stream = stream


@contextmanager
def clip_writer(path: Path, lossless: bool, words: Words = RECONSTRUCTED) -> Iterator[ClipWriter]:
    """A writer of a clip at ``path`` that is marked with these words."""
    options = {} if lossless else {"movflags": "+faststart+use_metadata_tags"}
    with av.open(str(path), "w", format="matroska" if lossless else "mp4", options=options) as container:
        container.metadata["comment"] = comment_of(words)
        writer = ClipWriter(container, lossless)
        yield writer
        writer.finish()
