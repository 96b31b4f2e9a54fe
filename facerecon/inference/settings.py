"""What a run of the reconstruction pipeline is asked for, by the task of its model."""

from typing import Any, Literal

from pydantic import Field, model_validator

from facerecon.errors import FaceReconError
from facerecon.inference.regions import DILATION, Regions
from facerecon.settings import NamedSettings


class UseSettings(NamedSettings):
    """What stands under ``parameters:`` whatever the model is for; relative paths start at the project's root.

    ``inputs`` are photographs, clips, and folders of them.
    """

    task: str
    model: str = Field("@champion", min_length=1, description="demo/3, demo@champion, or a file.onnx")
    inputs: tuple[str, ...] = Field(min_length=1)
    out: str = Field(min_length=1, description="folder for the results")
    face: Literal["largest", "all"] | int = "largest"
    lossless: bool = Field(False, description="clips as FFV1 in Matroska")
    case: str = ""
    reason: str = ""
    operator: str = ""
    threads: int = Field(1, ge=1, le=256)


class ReconstructionSettings(UseSettings):
    """Fill what is hidden; ``mask`` is a mask's file or a folder of masks."""

    task: Literal["inpainting"] = "inpainting"
    restore: str | None = Field(
        None, min_length=1, description="each face is restored by this model, too: restoration@champion, or a file.onnx"
    )
    mask: str | None = None
    hide: Regions = Field((), description="regions of each face, by name")
    dilation: float = Field(DILATION, ge=0, le=1, description="of regions, in eye distances")

    @model_validator(mode="after")
    def _something_is_hidden(self) -> "ReconstructionSettings":
        if not self.hide and self.mask is None:
            raise ValueError("nothing is to be hidden: give hide: [REGION] or mask: FILE, or say `task: restoration`")
        return self


def _refuse_hiding(given: Any, what: str) -> None:
    """See that settings of what hides nothing name nothing to hide."""
    for key in ("mask", "hide", "dilation"):
        if isinstance(given, dict) and key in given:
            raise ValueError(f"{key}: {what}: leave it out, or say `task: inpainting`")


class RestorationSettings(UseSettings):
    """Restore whole faces."""

    task: Literal["restoration"] = "restoration"
    upscale: int = Field(1, ge=1, le=4, description="the whole picture comes out so many times as large")

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_hidden(cls, given: Any) -> Any:
        _refuse_hiding(given, "restoration hides nothing, it restores whole faces")
        return given


class MeasurementSettings(UseSettings):
    """Find points, depth and shape of faces."""

    task: Literal["landmarks"] = "landmarks"
    face: Literal["largest", "all"] | int = "all"

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_hidden(cls, given: Any) -> Any:
        _refuse_hiding(given, "landmarks are found in the picture as it is")
        return given


AnyUse = ReconstructionSettings | RestorationSettings | MeasurementSettings
"""What a run is asked for, whatever its task."""


def use_settings(task: str) -> type[AnyUse]:
    """The class of settings for models of a task.

    Raises:
        FaceReconError: no pipeline uses such models.
    """
    known: dict[str, type[AnyUse]] = {
        "inpainting": ReconstructionSettings,
        "restoration": RestorationSettings,
        "landmarks": MeasurementSettings,
    }
    if task not in known:
        raise FaceReconError(f"'{task}' not among {', '.join(known)}")
    return known[task]
