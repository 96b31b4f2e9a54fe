"""Clips for tests."""

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np


def write_clip(path: Path, images: Iterable[np.ndarray]) -> Path:
    """A lossless clip of 5 frames a second of ``images`` uint8 [H, W, 3], all of one size."""
    with av.open(str(path), "w") as container:
        stream = None
        for image in images:
            if stream is None:
                stream = container.add_stream("ffv1", rate=5)
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = "bgr0"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="bgr0")))
        assert stream is not None
        container.mux(stream.encode())
    return path
