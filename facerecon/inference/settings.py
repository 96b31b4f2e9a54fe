"""What a run of the reconstruction pipeline is asked for."""

from typing import Literal

from pydantic import Field, model_validator

from facerecon.inference.regions import DILATION, Regions
from facerecon.settings import NamedSettings


class ReconstructionSettings(NamedSettings):
    """What stands under ``parameters:``; relative paths start at the project's root.

    ``inputs`` are photographs, clips, and folders of them, ``mask`` a mask's file or a folder of masks.
    """

    model: str = Field("@champion", min_length=1, description="demo/3, demo@champion, or a file.onnx")
    restore: str | None = Field(
        None, min_length=1, description="each face is restored by this model, too: restoration@champion, or a file.onnx"
    )
    inputs: tuple[str, ...] = Field(min_length=1)
    out: str = Field(min_length=1, description="folder for the results")
    mask: str | None = None
    hide: Regions = Field((), description="regions of each face, by name")
    dilation: float = Field(DILATION, ge=0, le=1, description="of regions, in eye distances")
    face: Literal["largest", "all"] | int = "largest"
    lossless: bool = Field(False, description="clips as FFV1 in Matroska")
    case: str = ""
    reason: str = ""
    operator: str = ""
    threads: int = Field(1, ge=1, le=256)

    @model_validator(mode="after")
    def _something_is_hidden(self) -> "ReconstructionSettings":
        if not self.hide and self.mask is None:
            raise ValueError("nothing is to be hidden: give hide: [REGION] or mask: FILE")
        return self
