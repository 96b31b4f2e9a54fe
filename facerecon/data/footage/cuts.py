"""Cuts in a clip: where a frame shows another scene than the one before."""

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 8
"""Frames are compared when reduced to so many pixels along each side: noise averages out, and motion counts little."""

SAME = 0.8
"""From this correlation on two frames show one scene. Of five clips frames that follow each other had 0.98 or more, and
those eight apart 0.89; frames of different places had at most 0.61, and those of two people in one room 0.94."""

FLAT = 2.0
"""A reduced frame whose standard deviation is less, in gray levels, shows nothing that can be compared."""


class Cuts:
    """Finds cuts in frames that are shown to it one after the other."""

    def __init__(self) -> None:
        self._before: NDArray[np.float32] | None = None

    def is_cut(self, image: NDArray[np.uint8]) -> bool:
        """Whether a frame uint8 [H, W, 3] shows another scene than the last before it that showed anything."""
        small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        reduced = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        if reduced.std() < FLAT:
            return False
        before, self._before = self._before, reduced
        return before is not None and float(np.corrcoef(before.ravel(), reduced.ravel())[0, 1]) < SAME
