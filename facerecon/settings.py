"""The base of everything that is configured."""

from typing import Annotated, Any, get_args

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
    value = "" if _is_settings(first["input"]) else f" = {first['input']!r}"
    return f"{key}{value}: {reason}"


def _is_settings(value: Any) -> bool:
    """Whether a value is settings, or a list of them: too long for a line."""
    return isinstance(value, dict | Settings) or (isinstance(value, list | tuple) and any(map(_is_settings, value)))


def _siblings(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that may stand where ``location`` points below ``model``, from the settings' own declarations."""
    for part in location[:-1]:
        if isinstance(part, int):
            continue  # of a list, whose items are of one kind
        annotation = model.model_fields[part].annotation
        kinds = [kind for kind in (annotation, *get_args(annotation)) if _is_model(kind)]
        if len(kinds) != 1:
            break
        model = kinds[0]
    return list(model.model_fields)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
