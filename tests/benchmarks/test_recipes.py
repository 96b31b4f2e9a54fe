"""What a recipe trains is what it says."""

from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError

from benchmarks.recipes import LOSSES, PLAIN, Recipe, kept_under, settings_of


def test_a_recipe_becomes_the_settings_of_a_run() -> None:
    recipe = Recipe(PLAIN, rate=4e-3, coarse=0.5, curriculum="published", batch=8, seed=3)
    settings = settings_of(recipe, steps=801)
    assert settings.seed == 3
    assert settings.model.family == "unet_attention"
    assert settings.masks.curriculum.kind == "published"
    training = settings.training
    assert (training.steps, training.batch_size, training.learning_rate) == (801, 8, 4e-3)
    assert training.coarse_share == 0.5
    assert training.losses.identity_interval == LOSSES["identity_interval"]
    assert -(-training.steps // training.validate_every) == 8, "validations cost time: each recipe has eight"


def test_changes_come_on_top_and_leave_all_else() -> None:
    before, changes = dict(LOSSES), {"training.losses.identity": 0.5, "masks.training_families": ["brush"]}
    changed = settings_of(Recipe(PLAIN, 1e-3, changes=changes), 100)
    assert changed.training.losses.identity == 0.5
    assert changed.training.losses.perceptual_interval == LOSSES["perceptual_interval"]
    assert changed.masks.training_families == ("brush",)
    assert before == LOSSES
    assert settings_of(Recipe(PLAIN, 1e-3), 100).training.losses.identity != 0.5


def test_a_change_of_nothing_that_exists_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"losses\.colour"):
        settings_of(Recipe(PLAIN, 1e-3, changes={"training.losses.colour": 1}), 100)


def train_it() -> None:
    """Stands for what trains."""


def test_results_are_kept_apart_by_all_that_makes_them() -> None:
    faces, masks = SimpleNamespace(digest="1" * 64), SimpleNamespace(digest="2" * 64)
    recipes = [
        Recipe(PLAIN, 1e-3),
        Recipe(PLAIN, 2e-3),
        Recipe(PLAIN, 1e-3, coarse=0.5),
        Recipe(PLAIN, 1e-3, seed=1),
        Recipe(PLAIN, 1e-3, changes={"training.losses.hole": 1}),
        Recipe(PLAIN, 1e-3, changes={"training.losses.hole": 2}),
    ]
    keys = {kept_under(train_it, recipe, (faces, masks)) for recipe in recipes}
    assert len(keys) == len(recipes)
    assert kept_under(train_it, Recipe(PLAIN, 1e-3), (faces, masks)) in keys
    keys.add(kept_under(train_it, Recipe(PLAIN, 1e-3), (faces, SimpleNamespace(digest="3" * 64))))
    keys.add(kept_under(settings_of, Recipe(PLAIN, 1e-3), (faces, masks)))
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    keys.add(kept_under(train_it, Recipe(PLAIN, 1e-3), (faces, masks)))
    torch.set_num_threads(before)
    assert len(keys) == len(recipes) + 3
