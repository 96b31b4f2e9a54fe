"""The base of everything that is configured."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Share = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """Base of all settings: immutable, strict about names, numbers finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def first_problem(error: ValidationError, prefix: str, root: type[BaseModel]) -> str:
    """The first of pydantic's errors about ``root`` as one line that names the key, the value and what is allowed."""
    first = error.errors()[0]
    key = ".".join((prefix, *map(str, first["loc"])))
    if first["type"] == "extra_forbidden":
        return f"{key}: no such key; allowed here: {', '.join(_siblings(root, first['loc']))}"
    reason = first["msg"].removeprefix("Value error, ")
    value = "" if isinstance(first["input"], dict | Settings) else f" = {first['input']!r}"
    return f"{key}{value}: {reason}"


def _siblings(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that may stand where ``location`` points below ``model``, from the settings' own declarations."""
    for part in location[:-1]:
        annotation = model.model_fields[str(part)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        model = annotation
    return list(model.model_fields)
