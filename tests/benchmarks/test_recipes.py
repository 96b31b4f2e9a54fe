"""Recipes become the settings of a run, and their results are cached."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from benchmarks.recipes import LOSSES, PLAIN, Recipe, cache_key, settings_of, train_for
from facerecon.files import write_json
from facerecon.models.trained import TrainedModel


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


def train_function() -> None:
    """Stands for what trains."""


def test_results_are_cached_by_all_that_they_depend_on() -> None:
    faces, masks = SimpleNamespace(digest="1" * 64), SimpleNamespace(digest="2" * 64)
    recipes = [
        Recipe(PLAIN, 1e-3),
        Recipe(PLAIN, 2e-3),
        Recipe(PLAIN, 1e-3, coarse=0.5),
        Recipe(PLAIN, 1e-3, seed=1),
        Recipe(PLAIN, 1e-3, changes={"training.losses.hole": 1}),
        Recipe(PLAIN, 1e-3, changes={"training.losses.hole": 2}),
    ]
    keys = {cache_key(train_function, recipe, (faces, masks)) for recipe in recipes}
    assert len(keys) == len(recipes)
    assert cache_key(train_function, Recipe(PLAIN, 1e-3), (faces, masks)) in keys
    keys.add(cache_key(train_function, Recipe(PLAIN, 1e-3), (faces, SimpleNamespace(digest="3" * 64))))
    keys.add(cache_key(settings_of, Recipe(PLAIN, 1e-3), (faces, masks)))
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    keys.add(cache_key(train_function, Recipe(PLAIN, 1e-3), (faces, masks)))
    torch.set_num_threads(before)
    assert len(keys) == len(recipes) + 3


def test_an_interrupted_training_starts_again_so_that_its_minutes_are_right(tmp_path: Path) -> None:
    data = (SimpleNamespace(digest="1" * 64), SimpleNamespace(digest="2" * 64))
    files_at_start: list[list[str]] = []

    def interrupted(manifest: Any, masks: Any, settings: Any, folder: Path, steps: int) -> Any:
        files_at_start.append([path.name for path in folder.glob("*")])
        folder.mkdir(parents=True)
        (folder / "last.safetensors").touch()
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train_for("probed", 1.0, interrupted, Recipe(PLAIN, 1e-3), data, tmp_path)
    probe = tmp_path / "probes" / cache_key(interrupted, Recipe(PLAIN, 1e-3), data)
    shutil.rmtree(probe)
    write_json(probe / "record.json", [100.0, 1.0])
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train_for("trained", 1.0, interrupted, Recipe(PLAIN, 1e-3), data, tmp_path)
    assert files_at_start == [[], [], [], []]


def test_a_cached_result_is_not_trained_again(tmp_path: Path) -> None:
    data, calls = (SimpleNamespace(digest="1" * 64), SimpleNamespace(digest="2" * 64)), []

    def quickly(manifest: Any, masks: Any, settings: Any, folder: Path, steps: int) -> tuple[TrainedModel, float]:
        calls.append(steps)
        return TrainedModel("unet_attention", {}, 64, steps, {"weight": torch.ones(1)}), 1e6

    first, second = (train_for("quickly", 0.01, quickly, Recipe(PLAIN, 1e-3), data, tmp_path) for _ in range(2))
    assert len(calls) == 2, "the probe, and the training"
    assert first[1] == second[1]
    assert first[0].digest == second[0].digest
