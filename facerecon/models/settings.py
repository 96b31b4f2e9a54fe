"""Which network."""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    SerializationInfo,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from facerecon.errors import FaceReconError
from facerecon.models import find_family, model_options
from facerecon.settings import Settings, first_problem

DEFAULT_FAMILY = "unet_fill"


WIDEST = 2048
"""Twice the published recipe's width; the memory of a level grows with its square."""


def _levels(features: tuple[int, ...]) -> tuple[int, ...]:
    if not 2 <= len(features) <= 7 or any(not 4 <= width <= WIDEST or width % 2 for width in features):
        raise ValueError(f"needs 2 to 7 levels of even width, at least 4 and at most {WIDEST}")
    return features


Features = Annotated[tuple[int, ...], AfterValidator(_levels)]
"""Channels of each level of a U-Net."""


class ModelSettings(Settings):
    """Which network: a family, a named variant of it or none, and options that go before the variant's.

    ``options`` has the family's own type and is complete. Dumped with ``exclude_defaults``, it is what differs from the
    family's defaults, or from the variant.
    """

    family: str = DEFAULT_FAMILY
    variant: str | None = None
    options: SerializeAsAny[BaseModel] = Field(default_factory=lambda: model_options(DEFAULT_FAMILY, {}))

    @model_serializer(mode="wrap")
    def _without_ambiguity(self, dump: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        values: dict[str, Any] = dump(self)
        if info.exclude_defaults and self.variant is not None:
            # an option that resets the variant's to the family's default is no default here
            variant = find_family(self.family).variants[self.variant]
            options = self.options.model_dump(mode=info.mode)
            changed = {name: options[name] for name in options if getattr(self.options, name) != getattr(variant, name)}
            values["options"] = changed | values.get("options", {})
        return values

    @model_validator(mode="before")
    @classmethod
    def _typed_options(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        values: dict[str, Any] = {"family": DEFAULT_FAMILY, "variant": None, "options": {}} | given
        match values["family"], values["variant"], values["options"]:
            case str() as family, None | str() as variant, dict() | BaseModel() as options:
                return given | {"options": _checked(family, options, variant)}
        return given  # a value of a wrong type, which pydantic names


def _checked(family: str, options: dict[str, Any] | BaseModel, variant: str | None) -> BaseModel:
    try:
        return model_options(family, options, variant)
    except ValidationError as error:
        raise ValueError(first_problem(error, "options", find_family(family).options)) from error
    except FaceReconError as error:
        raise ValueError(error.message) from error


def check_size(model: ModelSettings, size: int) -> None:
    """See that a model can be trained to make images of ``size`` x ``size`` pixels, if its options know a limit.

    Raises:
        ValueError: its input would be too small.
    """
    if (check := getattr(model.options, "check_size", None)) is not None:
        check(size // scale_of(model))


def scale_of(model: ModelSettings) -> int:
    """How many times as high and as wide a model makes its input."""
    return int(getattr(model.options, "scale", 1))
