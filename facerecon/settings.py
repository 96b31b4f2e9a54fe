"""The base of everything that is configured."""

from functools import lru_cache
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

Share = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """Base of all settings: immutable, strict about names, numbers finite; text and truth values are no numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        assert info.field_name is not None
        kinds = _kinds(cls, info.field_name)
        if int not in kinds and float not in kinds:
            return value
        for item in value if isinstance(value, list | tuple) else (value,):
            if isinstance(item, bool) and bool not in kinds:
                raise ValueError("a number is expected, not true or false")
            if isinstance(item, str) and str not in kinds:
                raise ValueError(
                    "a number is expected: plain, without leading zeros, colons, underscores or quotes, such as 100"
                )
        return value


class NamedSettings(Settings):
    """Settings that stand in a file of ``configs/``, by whose name their runs are known."""

    name: str = Field("demo", pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")


@lru_cache(maxsize=4096)
def _kinds(model: type[BaseModel], name: str) -> frozenset[Any]:
    """The kinds of value that a field, or the items of its list, may have."""
    found: set[Any] = set()
    left: list[Any] = [model.model_fields[name].annotation]
    while left:
        kind = left.pop()
        if get_origin(kind) is Literal:
            found |= {type(value) for value in get_args(kind)}
        elif arguments := get_args(kind):
            left += arguments
        else:
            found.add(kind)
    return frozenset(found)


def first_problem(error: ValidationError, prefix: str, root: type[BaseModel]) -> str:
    """The first of pydantic's errors about ``root`` as one line that names the key, the value and what is allowed."""
    first = error.errors()[0]
    key = ".".join((prefix, *map(str, first["loc"])))
    if first["type"] == "extra_forbidden":
        return f"{key}: no such key; allowed here: {', '.join(_siblings(root, first['loc']))}"
    reason = first["msg"].removeprefix("Value error, ")
    value = "" if _is_settings(first["input"]) else f" = {_shown(first['input'])}"
    return f"{key}{value}: {reason}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _is_settings(value: Any) -> bool:
    """Whether a value is settings, or a list of them: too long for a line."""
    return isinstance(value, dict | Settings) or (isinstance(value, list | tuple) and any(map(_is_settings, value)))


def _siblings(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that may stand where ``location`` points below ``model``, from the settings' own declarations."""
    parts = iter(location[:-1])
    for part in parts:
        if isinstance(part, int):
            continue  # of a list, whose items are of one kind
        annotation = model.model_fields[part].annotation
        kinds = [kind for kind in (annotation, *get_args(annotation)) if _is_model(kind)]
        if len(kinds) != 1:
            break
        model = kinds[0]
        if get_origin(annotation) is dict:
            next(parts, None)  # a name of the mapping, whose values are of one kind
    return list(model.model_fields)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
