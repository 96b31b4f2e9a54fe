"""Which network."""

from typing import Any

from pydantic import Field, ValidationError, model_validator

from facerecon.errors import FaceReconError
from facerecon.models import model_options
from facerecon.settings import Settings, first_problem


class ModelSettings(Settings):
    """Which network. ``options`` are the family's own and are checked by it."""

    family: str = "unet_fill"
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known_options(self) -> "ModelSettings":
        try:
            model_options(self.family, self.options)
        except ValidationError as error:
            raise ValueError(first_problem(error, "options", type(model_options(self.family, {})))) from error
        except FaceReconError as error:
            raise ValueError(error.message) from error
        return self
