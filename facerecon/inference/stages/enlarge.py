"""Enlarging a whole picture."""

from dataclasses import replace

from pydantic import Field

from facerecon.errors import FaceReconError
from facerecon.inference.frames import SCALE, Frame
from facerecon.inference.stage import Runtime, StageRecord, register_stage
from facerecon.settings import Settings

MOST_FACTOR = 4

MOST_PIXELS = 80_000_000
"""So many pixels a picture may have that was enlarged: from 90 million on Pillow takes one for an attack."""


class EnlargeSettings(Settings):
    """The result is ``factor`` times as high and as wide."""

    factor: int = Field(ge=2, le=MOST_FACTOR)


@register_stage("enlarge", EnlargeSettings)
class Enlarge:
    """The result of each frame is larger than the frame: what no edit covers is enlarged bicubically.

    It comes before stages that give edits, which have the result's pixels.
    """

    needs: frozenset[str] = frozenset()
    gives = frozenset({SCALE})

    def __init__(self, settings: EnlargeSettings) -> None:
        self.settings = settings

    def open(self, runtime: Runtime) -> None:
        """Nothing is loaded."""

    def close(self) -> None:
        """Nothing is held."""

    def run(self, frames: list[Frame]) -> list[Frame]:
        """The same frames, to be enlarged.

        Raises:
            FaceReconError: one would be larger than MOST_PIXELS.
        """
        factor = self.settings.factor
        for frame in frames:
            height, width = frame.size
            if height * width * factor**2 > MOST_PIXELS:
                raise FaceReconError(
                    f"a picture of {width} x {height} enlarged {factor} times has "
                    f"{height * width * factor**2 / 1e6:.0f} megapixels; at most {MOST_PIXELS / 1e6:g} are made: crop "
                    "it, or enlarge it less"
                )
        return [replace(frame, scale=factor) for frame in frames]

    def describe(self) -> StageRecord:
        """By how much."""
        return StageRecord(name="enlarge", version=1, parameters=self.settings.model_dump(mode="json"))
