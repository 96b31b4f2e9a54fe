"""What is hidden when: training masks grow from small holes at the edges to large ones anywhere.

The published schedule has 50 epochs: 1-10 small holes at the image's edges, 11-25 medium ones at its centre, 26-50
large ones anywhere. Here its boundaries are shares of the run, so that a run of any length goes through all of it.
Everything is a function of the progress alone: a resumed run continues where it was.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from facerecon.corruption.masks import FAMILIES, TRAINING_FAMILIES, Focus, draw_mask, draw_ratio
from facerecon.errors import FaceReconError
from facerecon.settings import Settings


class Stage(BaseModel):
    """What a part of the run draws: a level with the chance ``levels[level]`` (they sum to 1), holes at ``focus``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    levels: dict[int, float]
    focus: Focus


FIRST = Stage(name="edges", levels={1: 1.0}, focus="edges")
SECOND = Stage(name="centre", levels={1: 0.25, 2: 0.75}, focus="centre")
THIRD = Stage(name="anywhere", levels={1: 0.2, 2: 0.3, 3: 0.5}, focus="anywhere")
ALL_AT_ONCE = Stage(name="all", levels={1: 1 / 3, 2: 1 / 3, 3: 1 / 3}, focus="anywhere")


class Curriculum(Settings):
    """The schedule of a run. ``kind`` "none" draws every level anywhere from the first step.

    ``boundaries`` are the shares of the run at which the second and the third stage begin.
    """

    kind: Literal["published", "none"] = "published"
    boundaries: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]] = (0.2, 0.5)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.boundaries[0] > self.boundaries[1]:
            raise ValueError(f"boundaries must not fall: {self.boundaries}")
        return self

    def stage_at(self, progress: float) -> Stage:
        """The stage at ``progress``, the share of the run that is done, in [0, 1] (else ValueError)."""
        if not 0 <= progress <= 1:
            raise ValueError(f"progress is the share of the run that is done, 0 to 1, not {progress}")
        if self.kind == "none":
            return ALL_AT_ONCE
        second, third = self.boundaries
        return THIRD if progress >= third else SECOND if progress >= second else FIRST


PUBLISHED = Curriculum()
NO_CURRICULUM = Curriculum(kind="none")


def sample_training_mask(
    size: int,
    progress: float,
    families: Sequence[str],
    rng: np.random.Generator,
    curriculum: Curriculum = PUBLISHED,
) -> NDArray[np.uint8]:
    """A training mask uint8 [size, size], 1 = hole, for the moment ``progress`` in [0, 1] of the run.

    The family is drawn from ``families`` with equal chances, the level by the stage's weights. A family that does not
    exist or must not be trained on, or none at all, raises FaceReconError.
    """
    check_training_families(families)
    now = curriculum.stage_at(progress)
    family = families[int(rng.integers(len(families)))]
    level = int(rng.choice(list(now.levels), p=list(now.levels.values())))
    return draw_mask(family, size, draw_ratio(level, rng), rng, now.focus)


def check_training_families(families: Sequence[str]) -> None:
    """Raise FaceReconError unless ``families`` names at least one family, and none that is kept for evaluation."""
    wrong = [family for family in families if family not in FAMILIES or not FAMILIES[family].trained]
    if wrong or not families:
        named = f"{', '.join(wrong)} cannot be trained on" if wrong else "no mask family is named"
        raise FaceReconError(f"{named}: choose from {', '.join(TRAINING_FAMILIES)}")
