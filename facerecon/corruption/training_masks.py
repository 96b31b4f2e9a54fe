"""The masks of a training run: families along the curriculum, now and then a part of the face."""

import numpy as np
from numpy.typing import NDArray

from facerecon.corruption.curriculum import sample_training_mask
from facerecon.corruption.masks import FEATURE_PARTS, PART_GROUPS, draw_feature_mask, draw_part_mask
from facerecon.corruption.settings import MaskSettings


class TrainingMasks:
    """Draws masks of ``size`` pixels as ``settings`` say."""

    def __init__(self, settings: MaskSettings, size: int) -> None:
        self.settings, self.size = settings, size

    def __call__(
        self,
        progress: float,
        rng: np.random.Generator,
        points68: NDArray[np.float32],
        parts: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.uint8]:
        """A mask uint8 [size, size], 1 = hole, at ``progress`` in [0, 1].

        ``points68`` [68, 2] are in pixels; ``parts`` [size, size] are the labels of a face that has them: then its
        ``PART_GROUPS`` are hidden, too.
        """
        if rng.random() < self.settings.feature_share:
            chosen = int(rng.integers(len(FEATURE_PARTS) + (0 if parts is None else len(PART_GROUPS))))
            try:
                if parts is None or chosen < len(FEATURE_PARTS):
                    return draw_feature_mask(FEATURE_PARTS[chosen], points68, self.size)
                return draw_part_mask(tuple(PART_GROUPS)[chosen - len(FEATURE_PARTS)], parts)
            except ValueError:
                # a face at the crop's edge can have the part outside it: hide something else instead
                pass
        return sample_training_mask(self.size, progress, self.settings.training_families, rng, self.settings.curriculum)
