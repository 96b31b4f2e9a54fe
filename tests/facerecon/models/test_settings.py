"""Which network a config names: found by name, with options of the family's own type, and without torch."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from facerecon import models
from facerecon.models import find_family, list_models, model_options, register_model
from facerecon.models.settings import ModelSettings
from facerecon.models.unet_attention import UNetAttentionOptions
from facerecon.models.unet_fill import UNetFillOptions


def test_options_are_of_the_familys_own_type_and_dumped_in_full() -> None:
    settings = ModelSettings(family="unet_attention", options={"features": [4, 8]})
    assert settings.options == UNetAttentionOptions(features=(4, 8))
    assert settings.model_dump()["options"] == settings.options.model_dump()
    assert ModelSettings.model_validate_json(settings.model_dump_json()) == settings
    assert ModelSettings(family="unet_attention", options=settings.options) == settings


def test_without_defaults_a_dump_says_what_differs_from_the_familys_own() -> None:
    assert ModelSettings().model_dump(exclude_defaults=True) == {}
    given = {"family": "unet_attention", "options": {"features": [16, 32, 64, 128, 256], "confidence": False}}
    assert ModelSettings(**given).model_dump(exclude_defaults=True) == {
        "family": "unet_attention",
        "options": {"confidence": False},
    }


def test_options_of_another_family_are_refused() -> None:
    with pytest.raises(ValidationError, match="UNetAttentionOptions"):
        ModelSettings(family="unet_attention", options=UNetFillOptions())


@pytest.mark.parametrize("family", ["gan", "base", "layers", "settings", "unet_fill.network", "../unet_fill"])
def test_an_unknown_family_is_refused_with_those_there_are(family: str) -> None:
    with pytest.raises(ValidationError, match=rf"model family '{family}' not among .*unet_attention, unet_fill"):
        ModelSettings(family=family)


def test_options_are_checked_without_torch() -> None:
    code = (
        "import sys\nfrom facerecon.models import list_models\nfrom facerecon.models.settings import ModelSettings\n"
        "for family in list_models():\n    print(ModelSettings(family=family).model_dump_json())\n"
        "print([name for name in ('torch', 'numpy', 'cv2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_family_is_a_module_that_is_imported_when_it_is_named(package: Path) -> None:
    (package / "added.py").write_text("raise RuntimeError('imported')")
    assert "added" in list_models()
    ModelSettings(family="unet_fill")
    with pytest.raises(RuntimeError, match="imported"):
        ModelSettings(family="added")


def test_a_module_that_registers_nothing_is_told_how_to(package: Path) -> None:
    (package / "added_helper.py").write_text("")
    with pytest.raises(ValidationError, match=r"models\.added_helper registers no family: put @register_model before"):
        ModelSettings(family="added_helper")


class _Options(BaseModel):
    width: int = 4
    depth: int
    name: str = "net"


@pytest.fixture
def family(registry: None) -> None:
    """A family with an option that must be given, and a variant."""

    @register_model(_Options, variants={"wide": _Options(width=64, depth=2)})
    def with_variants(options: _Options) -> models.ReconstructionModel:
        raise NotImplementedError


def test_an_option_beside_a_variant_goes_before_the_variants(family: None) -> None:
    assert ModelSettings(family="with_variants", variant="wide").options == _Options(width=64, depth=2)
    settings = ModelSettings(family="with_variants", variant="wide", options={"depth": 3, "name": "mine"})
    assert settings.options == _Options(width=64, depth=3, name="mine")
    assert settings.variant == "wide"
    assert ModelSettings.model_validate_json(settings.model_dump_json()) == settings


def test_without_defaults_a_dump_still_means_the_same(family: None) -> None:
    for options in ({}, {"depth": 3}, {"width": 4}, {"width": 4, "depth": 2}):
        settings = ModelSettings(family="with_variants", variant="wide", options=options | {"name": "net"})
        dump = settings.model_dump(exclude_defaults=True)
        assert ModelSettings.model_validate(dump) == settings
        assert "name" not in dump["options"], "neither the variant nor the options change it"
        assert ModelSettings.model_validate_json(settings.model_dump_json(exclude_defaults=True)) == settings
    reset = ModelSettings(variant="small", options=UNetFillOptions().model_dump())
    assert ModelSettings.model_validate(reset.model_dump(exclude_defaults=True)) == reset


def test_a_missing_or_misspelt_option_is_named(family: None) -> None:
    with pytest.raises(ValidationError, match=r"options.depth: Field required"):
        ModelSettings(family="with_variants")
    with pytest.raises(ValidationError, match=r"options.depth = 'deep': Input should be a valid integer"):
        ModelSettings(family="with_variants", variant="wide", options={"depth": "deep"})


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("with_variants", "variant 'tiny' of model family 'with_variants' not among wide"),
        ("unet_attention", "variant 'tiny' of model family 'unet_attention' unknown: the family has none"),
    ],
)
def test_an_unknown_variant_is_refused_with_those_there_are(family: None, name: str, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ModelSettings(family=name, variant="tiny")


@pytest.mark.parametrize(
    ("name", "variant"), [(name, variant) for name in list_models() for variant in find_family(name).variants]
)
def test_every_variant_stands_for_options_that_the_family_takes(name: str, variant: str) -> None:
    options = model_options(name, {}, variant)
    assert options == find_family(name).variants[variant]
    assert options != model_options(name, {}), "a variant changes something"
