"""Settings: what is wrong is named in one line with key, value and what is allowed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel, Field, create_model

from facerecon.data.settings import licences_of
from facerecon.errors import FaceReconError
from facerecon.files import write_json
from facerecon.models import find_family, list_models, model_options
from facerecon.retraining.settings import retraining_run
from facerecon.run import SETTINGS_VERSION, parse_as, parse_settings, run_settings
from facerecon.settings import Settings, _kinds
from facerecon.tasks import list_tasks
from facerecon.tasks.inpainting.training_settings import LossSettings, TrainingSettings

DEFAULTS = Path(__file__).with_name("defaults.json")
Run = run_settings("inpainting")
FOLDER = Path(__file__).parents[2] / "configs"
CONFIGS = sorted(set(FOLDER.glob("*.yaml")) - {FOLDER / "reconstruction.yaml"})  # by which nothing is trained


def nested(path: str, value: Any) -> dict[str, Any]:
    """``value`` under the dotted ``path``."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def refusal(parameters: Any) -> str:
    with pytest.raises(FaceReconError) as caught:
        parse_settings(parameters, "configs/mine.yaml")
    assert "\n" not in caught.value.message
    return caught.value.message


def groups(model: type[BaseModel], path: str = "") -> dict[str, type[BaseModel]]:
    """Every group of settings by its dotted path; "" is the whole run."""
    found = {path: model}
    for name, field in model.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):  # data is a tuple of such
            if isinstance(kind, type) and issubclass(kind, Settings):
                found |= groups(kind, f"{path}.{name}".lstrip("."))
    return found


def test_nothing_given_means_the_defaults() -> None:
    assert parse_settings({}, "configs/mine.yaml") == Run()


def test_defaults_survive_the_way_through_json() -> None:
    assert Run.model_validate_json(Run().model_dump_json()) == Run()


def test_there_are_configs() -> None:
    assert {"demo", "ci", "lfw", "forensic_512"} <= {path.stem for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_is_valid_and_bears_its_files_name(path: Path) -> None:
    parameters = yaml.safe_load(path.read_text(encoding="utf-8"))["parameters"]
    if "retraining" in parameters:  # its name says whose champion
        settings = parse_as(retraining_run, parameters, path.name).training_run("demo@champion")
    else:
        settings = parse_settings(parameters, path.name)
        assert settings.name == path.stem  # the name is the folder of its outputs
    assert "unknown" not in licences_of(settings.data).values()


@pytest.mark.parametrize("group", [pytest.param(path, id=path or "parameters") for path in groups(Run)])
def test_a_misspelt_key_is_named_with_the_allowed_ones(group: str) -> None:
    path = f"{group}.misspelt".lstrip(".")
    message = refusal(nested(path, 1))
    allowed = groups(Run)[group].model_fields
    assert message == f"configs/mine.yaml: parameters.{path}: no such key; allowed here: {', '.join(allowed)}"


def test_a_misspelt_model_option_is_named_with_the_familys_own() -> None:
    message = refusal({"model": {"options": {"featurs": [16, 32]}}})
    assert message.endswith(
        "parameters.model: options.featurs: no such key; allowed here: features, fold, first_fill, prior_grid, "
        "prior_components, prior_iterations, prior_from, confidence, confidence_from"
    )


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        ("seed", -1, ["= -1", "greater than or equal to 0"]),
        ("seed", 2**31, ["= 2147483648", "less than or equal to 2147483647"]),
        ("seed", 0.5, ["= 0.5", "integer"]),
        ("name", "My run", ["= 'My run'", "a-z0-9"]),
        ("name", "../up", ["= '../up'", "pattern"]),
        ("data.path", "", ["= ''", "at least 1 character"]),
        ("data.max_faces", 0, ["= 0", "greater than or equal to 1"]),
        ("data.splits.train", 1.5, ["= 1.5", "less than or equal to 1"]),
        ("alignment.size", 48, ["= 48", "greater than or equal to 64"]),
        ("alignment.size", 1024, ["= 1024", "less than or equal to 512"]),
        ("alignment.size", 72, ["= 72", "multiple of 16"]),
        ("alignment.several_faces", "smallest", ["= 'smallest'", "'largest', 'all' or 'quarantine'"]),
        ("alignment.workers", 0, ["= 0", "greater than or equal to 1"]),
        ("validation.suites", 0, ["= 0", "give a file of expectations, such as configs/expectations/default.yaml"]),
        ("validation.near_duplicates.max_distance", 33, ["= 33", "less than or equal to 32"]),
        ("validation.near_duplicates.min_correlation", 1.5, ["= 1.5", "less than or equal to 1"]),
        ("masks.levels", [], ["= []", "at least 1 item"]),
        ("masks.count", 4, ["= 4", "greater than or equal to 8"]),
        ("model.options", "wide", ["= 'wide'", "dictionary"]),
        ("training.learning_rate", 0, ["= 0", "greater than 0"]),
        ("training.learning_rate", "fast", ["= 'fast'", "number"]),
        ("training.clip_norm", float("inf"), ["= inf", "finite"]),
        ("training.precision", "8", ["= '8'", "'32-true'"]),
        ("training.losses.l1", -1, ["= -1", "greater than or equal to 0"]),
        ("training.augmentation.rotation", 90, ["= 90", "less than or equal to 45"]),
        ("evaluation.samples", 65, ["= 65", "less than or equal to 64"]),
        ("onnx.min_parity_psnr", float("nan"), ["= nan", "finite"]),
        ("promotion.margin", -0.1, ["= -0.1", "greater than or equal to 0"]),
    ],
)
def test_a_wrong_value_is_named_with_its_key_and_bound(path: str, value: Any, parts: list[str]) -> None:
    message = refusal(nested(path, value))
    assert message.startswith(f"configs/mine.yaml: parameters.{path} = ")
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("parameters", "parts"),
    [
        (nested("training.keep_fitted", True), ["parameters.training", "nothing to keep without init_from"]),
        (nested("data.source", "imdb"), ["parameters.data", "source: 'imdb' not among archive, celeba", "lfw"]),
        ({"data": [{}, {"name": "b", "source": "imdb"}]}, ["parameters.data", "'imdb' not among archive"]),
        (nested("model.family", "gan"), ["parameters.model", "model family 'gan' not among", "unet_attention"]),
        (nested("model.options.features", [3, 8]), ["options.features = [3, 8]", "even width, at least 4"]),
        (nested("masks.training_families", ["brush", "held_out"]), ["training_families: held_out not among brush"]),
        (nested("masks.training_families", []), ["training_families: name at least one"]),
        (nested("masks.evaluation_families", ["boxes"]), ["evaluation_families: must contain 'brush'"]),
        (nested("masks.evaluation_families", ["brush", "fog"]), ["evaluation_families: fog not among", "held_out"]),
        (nested("masks.levels", [1, 4]), ["masks.levels.1 = 4", "1, 2 or 3"]),
        (nested("data.splits.train", 0.9), ["data.splits", "sum to 1.2", "must sum to 1"]),
        (nested("masks.curriculum.boundaries", [0.5, 0.2]), ["masks.curriculum", "boundaries must not fall"]),
        ({1: 2}, ["parameters.1", "strings"]),
        (None, ["parameters = None", "dictionary"]),
        (["seed"], ["parameters = ['seed']", "dictionary"]),
        (nested("training.warmup_steps", 601), ["parameters.training", "warmup_steps = 601 goes beyond steps = 600"]),
        (nested("masks.levels", [1, 2, 1]), ["parameters.masks", "levels: 1 stands there more than once"]),
        (nested("masks.training_families", ["brush", "brush"]), ["training_families: brush stands there more than"]),
        (nested("masks.evaluation_families", ["brush"] * 2), ["evaluation_families: brush stands there more than"]),
        (nested("model.options.features", [1_000_000, 100_000_000]), ["even width, at least 4 and at most 2048"]),
        (nested("model.options.features", [True, False]), ["options.features = [True, False]", "a number is expected"]),
        (nested("training.threads", 10**9), ["training.threads = 1000000000", "less than or equal to 1024"]),
        (nested("masks.seed", 2**31), ["masks.seed = 2147483648"]),
        (nested("data.licence", "L" * 1001), ["data.licence = 'LLL", "LL...: ", "at most 1000 characters"]),
        (
            {"data": [{"name": name, "licence": "L" * 900} for name in "abcde"]},
            ["parameters.data", "their licences have 4523 characters together, at most 4000"],
        ),
        (nested("data.splits.people", {"val": ["Ada"], "gate": ["Ada"]}), ["people: Ada stands there more than once"]),
        (nested("data.splits.people", {"dev": ["Ada"]}), ["data.splits.people", "'train', 'val', 'gate' or 'test'"]),
        (nested("training", None), ["parameters.training = None", "dictionary"]),
    ],
)
def test_what_does_not_exist_or_fit_together_is_named(parameters: Any, parts: list[str]) -> None:
    message = refusal(parameters)
    for part in ("configs/mine.yaml: ", *parts):
        assert part in message


def test_the_rounding_of_shares_is_forgiven() -> None:
    splits = {"train": 0.1 + 0.2, "val": 0.5, "gate": 0.1, "test": 0.1}
    assert parse_settings(nested("data.splits", splits), "here").data[0].splits.val == 0.5


@pytest.mark.parametrize("empty", ["train", "val", "gate", "test"])
def test_a_split_of_nobody_is_refused_at_once_with_what_it_is_needed_for(empty: str) -> None:
    splits: dict[str, Any] = dict.fromkeys(("train", "val", "gate", "test"), 0.25) | {empty: 0.0}
    splits["train" if empty != "train" else "val"] += 0.25
    message = refusal(nested("data.splits", splits))
    assert f"splits.{empty} = 0, but " in message
    assert "splits.people" in message
    named = splits | {"people": {empty: ["Ada"]}}
    assert parse_settings(nested("data.splits", named), "here").data[0].splits.people[empty] == ("Ada",)


def test_people_named_for_splits_are_part_of_the_digest() -> None:
    plain = parse_settings({}, "here").digest
    assert parse_settings(nested("data.splits.people", {}), "here").digest == plain
    assert parse_settings(nested("data.splits.people", {"val": ["Ada"]}), "here").digest != plain


def numbers(model: type[BaseModel], path: str = "") -> dict[str, Any]:
    """Every setting that is a number, and no text or truth value, by its dotted path."""
    found = {}
    for name, field in model.model_fields.items():
        kinds = _kinds(model, name)
        if kinds & {int, float} and not kinds & {bool, str}:
            found[f"{path}.{name}".lstrip(".")] = field.annotation
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, Settings):
                found |= numbers(kind, f"{path}.{name}".lstrip("."))
    return found


@pytest.mark.parametrize("path", numbers(Run))
def test_what_is_no_number_is_refused_wherever_one_is_expected(path: str) -> None:
    many = get_origin(numbers(Run)[path]) is tuple
    for value in (True, "0100", "10:00", "1_000", "100"):
        message = refusal(nested(path, [value] * 2 if many else value))
        assert "a number is expected" in message, value


def test_there_are_numbers_to_refuse() -> None:
    paths = numbers(Run)
    assert {"training.steps", "masks.curriculum.boundaries", "data.footage.min_face", "seed"} <= paths.keys()
    assert not {"name", "training.keep_fitted"} & paths.keys()


def test_the_error_keeps_pydantics_as_its_cause() -> None:
    with pytest.raises(FaceReconError) as caught:
        parse_settings({"seed": "x"}, "here")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("task", ["restauration", "", 3, None])
def test_a_task_that_does_not_exist_is_named_in_one_line(task: Any) -> None:
    message = refusal({"task": task})
    assert message.startswith("configs/mine.yaml: parameters.task")
    assert f"task '{task}' not among inpainting" in message or f"= {task!r}: Input should be a valid string" in message


# ------------------------------------------------------------------------------------------------------------- digest


def test_the_digest_is_of_what_was_chosen() -> None:
    plain = parse_settings({}, "here").digest
    said = {"seed": 0, "task": "inpainting", "training": {"steps": 600, "losses": {"l1": 1.0}}, "masks": {}}
    assert parse_settings(said, "here").digest == plain, "a default that is said is no choice"
    changed = [
        {"seed": 1},
        {"training": {"losses": {"l1": 0.5}}},
        {"model": {"variant": "small"}},
        {"model": {"options": {"fold": 2}}},
        {"training": {"keep_fitted": True, "init_from": "given.safetensors"}},
    ]
    digests = {parse_settings(parameters, "here").digest for parameters in changed}
    assert len(digests | {plain}) == 1 + len(changed)


def test_where_a_training_starts_is_no_part_of_the_digest() -> None:
    plain = parse_settings({}, "here").digest
    for training in ({"resume_from": "elsewhere"}, {"init_from": "demo@champion"}):
        assert parse_settings({"training": training}, "here").digest == plain


def test_another_version_of_the_settings_moves_every_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Run().digest
    monkeypatch.setattr(f"{parse_settings.__module__}.SETTINGS_VERSION", SETTINGS_VERSION + 1)
    assert Run().digest != before


def test_a_new_setting_with_a_default_moves_no_digest() -> None:
    class Group(Settings):
        depth: int = 3

    losses = create_model("Losses", __base__=LossSettings, novel=(float, 0.5))
    training = create_model("Training", __base__=TrainingSettings, losses=(losses, Field(default_factory=losses)))
    more: Any = create_model(
        "More",
        __base__=Run,
        novel=(int, 1),
        group=(Group, Field(default_factory=Group)),
        training=(training, Field(default_factory=training)),
    )
    for parameters in ({}, {"training": {"losses": {"l1": 0.5}}, "seed": 3}):
        assert more.model_validate(parameters).digest == Run.model_validate(parameters).digest
    for parameters in ({"novel": 2}, {"group": {"depth": 4}}, {"training": {"losses": {"novel": 1}}}):
        assert more.model_validate(parameters).digest != Run().digest


# ----------------------------------------------------------------------------------------------------------- defaults


def flat(values: Any, path: str) -> dict[str, Any]:
    """The leaves of nested values by their dotted paths."""
    if not isinstance(values, dict) or not values:
        return {path: values}
    return {key: leaf for name, value in values.items() for key, leaf in flat(value, f"{path}.{name}").items()}


def defaults() -> dict[str, Any]:
    """Every default of every task and model family, by the path of its key."""
    found = {}
    for task in list_tasks():
        found |= flat(run_settings(task)(task=task).model_dump(mode="json"), task)
    for name in list_models():
        family = find_family(name)
        for variant in (None, *family.variants):
            found |= flat(model_options(name, {}, variant).model_dump(mode="json"), f"{name}.{variant or 'default'}")
    return found


def test_no_default_changes_under_one_version_of_the_settings(tmp_path: Path, registry: None) -> None:
    frozen = json.loads(DEFAULTS.read_text(encoding="utf-8"))
    now = {"settings_version": SETTINGS_VERSION, "defaults": defaults()}
    write_json(tmp_path / DEFAULTS.name, now)
    moved = {
        key: (value, now["defaults"].get(key))
        for key, value in frozen["defaults"].items()
        if now["defaults"].get(key, "no such key") != value
    }
    remedy = f"raise SETTINGS_VERSION in facerecon/run.py and copy {tmp_path / DEFAULTS.name} to {DEFAULTS}"
    if frozen["settings_version"] == SETTINGS_VERSION:
        assert not moved, f"a digest would mean two things: {remedy}"
    assert frozen["settings_version"] == SETTINGS_VERSION, remedy


def test_settings_are_read_without_torch() -> None:
    program = """
import sys
import facerecon.data.alignment, facerecon.run, facerecon.tasks
facerecon.run.parse_settings({}, "here")
heavy = {"torch", "torchvision", "torchmetrics", "great_expectations", "mediapipe", "onnx", "onnxruntime", "mlflow"}
print(sorted(heavy & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
