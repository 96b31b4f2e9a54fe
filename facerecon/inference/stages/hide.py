"""Hiding regions of faces that are named, beside what a mask hides already."""

from dataclasses import replace
from functools import reduce

import numpy as np
from pydantic import Field

from facerecon.inference.frames import HIDDEN, LANDMARKS68, Frame
from facerecon.inference.regions import DILATION, Regions, hide_region
from facerecon.inference.stage import Runtime, StageRecord, register_stage
from facerecon.settings import Settings


class HideSettings(Settings):
    """``regions`` by name; ``dilation`` is in distances between the eyes."""

    regions: Regions = Field(min_length=1)
    dilation: float = Field(DILATION, ge=0, le=1)


@register_stage("hide", HideSettings)
class Hide:
    """Each region of each face that was taken becomes hidden."""

    needs = frozenset({LANDMARKS68})
    gives = frozenset({HIDDEN})

    def __init__(self, settings: HideSettings) -> None:
        self.settings = settings

    def open(self, runtime: Runtime) -> None:
        """Nothing is loaded."""

    def close(self) -> None:
        """Nothing is held."""

    def run(self, frames: list[Frame]) -> list[Frame]:
        """The same frames with more hidden."""
        return [self._hidden(frame) for frame in frames]

    def describe(self) -> StageRecord:
        """Which regions, and by how much they are enlarged."""
        return StageRecord(name="hide", version=1, parameters=self.settings.model_dump(mode="json"))

    def _hidden(self, frame: Frame) -> Frame:
        before = np.zeros(frame.size, bool) if frame.hidden is None else frame.hidden
        regions = (
            hide_region(name, face[LANDMARKS68], frame.size, self.settings.dilation)
            for face in frame.faces
            if LANDMARKS68 in face
            for name in self.settings.regions
        )
        without = [face.number for face in frame.faces if LANDMARKS68 not in face]
        said = [f"face {number} is too small for landmarks: no region of it is known" for number in without]
        return replace(frame, hidden=reduce(np.logical_or, regions, before)).remarked(*said)
