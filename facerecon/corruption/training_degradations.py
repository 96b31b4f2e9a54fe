"""The degradations of a training run: presets by chance, along the curriculum."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from facerecon.corruption.degradation_settings import DegradationSettings
from facerecon.corruption.degradations import degrade, draw
from facerecon.corruption.presets import CLEAN, PRESETS

Degrader = Callable[[float, np.random.Generator, NDArray[np.uint8]], NDArray[np.uint8]]
"""(progress of the run, generator, image uint8 [sH, sW, 3]) -> degraded image uint8 [H, W, 3]."""


class TrainingDegradations:
    """Degrades crops of ``size`` pixels as ``settings`` say, for a network that enlarges ``scale`` times."""

    def __init__(self, settings: DegradationSettings, size: int, scale: int = 1) -> None:
        self.settings, self.size, self.scale = settings, size, scale
        self.presets = [PRESETS[name] for name in settings.training]

    def __call__(
        self, progress: float, rng: np.random.Generator, image: NDArray[np.uint8] | NDArray[np.float32]
    ) -> NDArray[np.uint8]:
        """A crop [size, size, 3], values 0..255, by a preset chosen with equal chances, at ``progress`` in [0, 1].

        uint8 [size / scale, size / scale, 3]. From ``rng`` always the same count of numbers is taken.
        """
        clean, which = rng.random(2).tolist()
        preset = CLEAN if clean < self.settings.clean_share else self.presets[int(which * len(self.presets))]
        drawn = draw(preset, self.size, rng, self.settings.severity_at(progress))
        return degrade(image, drawn, rng, self.scale)
