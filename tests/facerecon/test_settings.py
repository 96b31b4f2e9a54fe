"""The base of all settings."""

import pytest
from pydantic import ValidationError

from facerecon.run import run_settings
from facerecon.settings import Settings


def below(kind: type[Settings]) -> set[type[Settings]]:
    """A kind of settings, and those of its fields."""
    annotations = [field.annotation for field in kind.model_fields.values()]
    return {kind}.union(*(below(each) for each in annotations if isinstance(each, type) and issubclass(each, Settings)))


ALL = sorted(below(run_settings("inpainting")), key=lambda kind: kind.__name__)


class Example(Settings):
    share: float = 0.5


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Example().share = 0.1  # type: ignore[misc]


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Example.model_validate({"shre": 0.1})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_are_finite(value: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Example(share=value)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_kind_of_settings_has_valid_defaults(kind: type[Settings]) -> None:
    defaults = kind()
    assert kind.model_validate(defaults.model_dump(mode="json")) == defaults
