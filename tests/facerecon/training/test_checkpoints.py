"""Checkpoints: what is written comes back, and anything else is refused."""

import dataclasses
import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import save
from torch import Tensor, nn

from facerecon.errors import FaceReconError
from facerecon.evaluation.keys import Metric
from facerecon.files import TEMPORARY
from facerecon.models import build_model
from facerecon.models.trained import TrainedModel, save_model
from facerecon.training.checkpoints import SCHEMA, Checkpointer, exclusive, load_state, save_state
from facerecon.training.objective import Objective, Progress

OPTIONS = {"features": [4, 8]}
ABOUT = {"step": 3, "history": [{"step": 1, "loss/total": 0.1 + 0.2}], "best": 1 / 3}


Modules = dict[str, torch.nn.Module]
Optimizers = dict[str, torch.optim.Optimizer]


def network_and_optimizer(seed: int, steps: int = 0) -> tuple[Modules, Optimizers]:
    """A network after so many steps of training towards black."""
    torch.manual_seed(seed)
    model = build_model("unet_attention", OPTIONS)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    modules, optimizers = {"model": model}, {"adamw": optimizer}
    for _ in range(steps):
        step(modules, optimizers)
    return modules, optimizers


def step(modules: Modules, optimizers: Optimizers) -> None:
    image, mask = torch.linspace(-1, 1, 2 * 3 * 64).reshape(2, 3, 8, 8), torch.ones(2, 1, 8, 8)
    mask[..., :4] = 0
    (modules["model"](image, mask).prediction + 1).square().mean().backward()
    optimizers["adamw"].step()
    optimizers["adamw"].zero_grad()


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_model_comes_back_as_it_was(tmp_path: Path, tiny_model: TrainedModel) -> None:
    path = tmp_path / "new folder" / "model.safetensors"
    save_model(path, tiny_model)
    read = TrainedModel.read(path)
    assert same(read.weights, tiny_model.weights)
    assert dataclasses.replace(read, weights={}) == dataclasses.replace(tiny_model, weights={})
    assert read.digest == tiny_model.digest
    assert [p.name for p in path.parent.iterdir()] == ["model.safetensors"], "nothing is left beside it"


def test_the_same_model_is_the_same_bytes(tiny_model: TrainedModel) -> None:
    shuffled = dataclasses.replace(tiny_model, weights=dict(reversed(tiny_model.weights.items())))
    assert shuffled.to_bytes() == tiny_model.to_bytes()
    assert shuffled.digest == tiny_model.digest


def test_weights_that_are_views_are_stored_as_they_look(tmp_path: Path, tiny_model: TrainedModel) -> None:
    name = "image_head.weight"
    turned = tiny_model.weights[name].transpose(0, 1).contiguous().transpose(0, 1)
    assert not turned.is_contiguous()
    view = dataclasses.replace(tiny_model, weights=tiny_model.weights | {name: turned})
    assert view.digest == tiny_model.digest
    save_model(tmp_path / "model.safetensors", view)
    assert TrainedModel.read(tmp_path / "model.safetensors").digest == tiny_model.digest


def test_a_built_model_has_the_weights_and_does_not_train(tiny_model: TrainedModel) -> None:
    model = tiny_model.build()
    assert same(model.state_dict(), tiny_model.weights)
    assert not any(module.training for module in model.modules())


def test_digest_changes_with_any_value_name_shape_and_type(tiny_model: TrainedModel) -> None:
    seen = {tiny_model.digest}
    for name, value in tiny_model.weights.items():
        changed = value.clone()
        changed.view(-1)[-1] += 1
        seen.add(dataclasses.replace(tiny_model, weights=tiny_model.weights | {name: changed}).digest)
    assert len(seen) == 1 + len(tiny_model.weights)
    weight = tiny_model.weights["image_head.weight"]
    renamed = {("other" if name == "image_head.weight" else name): v for name, v in tiny_model.weights.items()}
    for weights in (
        renamed,
        tiny_model.weights | {"image_head.weight": weight.reshape(-1)},
        tiny_model.weights | {"image_head.weight": weight.view(torch.int32)},
    ):
        seen.add(dataclasses.replace(tiny_model, weights=weights).digest)
    assert len(seen) == 4 + len(tiny_model.weights)


def foreign_files(whole: bytes) -> dict[str, bytes]:
    """Contents that are no model and no state, by what is wrong with them."""
    tensor = {"a": torch.zeros(3)}
    return {
        "empty": b"",
        "half": whole[: len(whole) // 2],
        "one byte short": whole[:-1],
        "text": b"not a checkpoint",
        "a pickle": b"\x80\x04cos\nsystem\n.",
        "no description": save(tensor),
        "another description": save(tensor, {"facerecon": "{}", "state": "{}"}),
        "no JSON": save(tensor, {"facerecon": "{", "state": "{"}),
        "JSON of another kind": save(tensor, {"facerecon": "[1]", "state": "[1]"}),
    }


@pytest.mark.parametrize("what", foreign_files(b"").keys())
def test_what_is_no_model_is_refused(what: str, tmp_path: Path, tiny_model: TrainedModel) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(foreign_files(tiny_model.to_bytes())[what])
    with pytest.raises(FaceReconError, match=r"model\.safetensors: not a facerecon model"):
        TrainedModel.read(path)


def test_a_missing_model_and_a_state_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FaceReconError, match="not a facerecon model"):
        TrainedModel.read(tmp_path / "missing.safetensors")
    save_state(tmp_path / "last.safetensors", *network_and_optimizer(0, 1), {})
    with pytest.raises(FaceReconError, match="not a facerecon model"):
        TrainedModel.read(tmp_path / "last.safetensors")


@pytest.mark.parametrize(
    "changes", [{"options": {"features": [4, 16]}}, {"options": {"width": 3}}, {"family": "of another version"}]
)
def test_weights_of_another_network_are_refused(changes: dict[str, object], tiny_model: TrainedModel) -> None:
    with pytest.raises(FaceReconError):
        dataclasses.replace(tiny_model, **changes).build()


def told(about: dict[str, Any] | None) -> dict[str, Any]:
    """What a state says of itself beside what every state says."""
    assert about is not None
    return {name: value for name, value in about.items() if name not in ("schema", "optimizers")}


def test_a_state_comes_back_and_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    modules, optimizers = network_and_optimizer(0, 3)
    save_state(path, modules, optimizers, ABOUT)
    other, other_optimizers = network_and_optimizer(1, 1)
    assert told(load_state(path, other, other_optimizers)) == ABOUT
    assert same(other["model"].state_dict(), modules["model"].state_dict())
    for _ in range(3):
        step(modules, optimizers)
        step(other, other_optimizers)
    assert same(other["model"].state_dict(), modules["model"].state_dict())


def test_a_state_before_the_first_step_comes_back(tmp_path: Path) -> None:
    save_state(tmp_path / "last.safetensors", *network_and_optimizer(0), {})
    assert told(load_state(tmp_path / "last.safetensors", *network_and_optimizer(1))) == {}


def test_no_state_is_none(tmp_path: Path) -> None:
    assert load_state(tmp_path / "last.safetensors", *network_and_optimizer(0)) is None


@pytest.mark.parametrize("what", foreign_files(b"").keys())
def test_what_is_no_state_is_refused(what: str, tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    modules, optimizers = network_and_optimizer(0, 1)
    save_state(path, modules, optimizers, ABOUT)
    path.write_bytes(foreign_files(path.read_bytes())[what])
    with pytest.raises(FaceReconError, match=r"last\.safetensors: .* remove it") as caught:
        load_state(path, modules, optimizers)
    assert "\n" not in caught.value.message


def test_a_state_of_another_network_or_optimizer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    modules, optimizers = network_and_optimizer(0, 1)
    save_state(path, modules, optimizers, ABOUT)
    other = build_model("unet_attention", {"features": [4, 16]})
    with pytest.raises(FaceReconError, match="remove it"):
        load_state(path, {"model": other}, {"adamw": torch.optim.AdamW(other.parameters())})
    with pytest.raises(FaceReconError, match="remove it"):
        load_state(path, {"another": modules["model"]}, optimizers)


@pytest.mark.parametrize("schema", [None, SCHEMA - 1, SCHEMA + 1])
def test_a_state_of_another_schema_is_refused_in_one_line(tmp_path: Path, schema: int | None) -> None:
    path = tmp_path / "last.safetensors"
    about = {"step": 1} if schema is None else {"step": 1, "schema": schema}
    path.write_bytes(save({"modules/model/a": torch.zeros(1)}, {"state": json.dumps(about)}))
    with pytest.raises(FaceReconError, match=rf"it has schema {schema or 1}, .* reads {SCHEMA}\): remove it") as caught:
        load_state(path, *network_and_optimizer(0))
    assert "\n" not in caught.value.message


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, tiny_model: TrainedModel) -> None:
    path = tmp_path / "last.safetensors"
    modules, optimizers = network_and_optimizer(0, 1)
    save_state(path, modules, optimizers, ABOUT)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save_state(path, modules, optimizers, {"not JSON": object()})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["last.safetensors"]


# ---------------------------------------------------------------------------------------------- more than one network

METRIC = Metric(name="score", label="score")
KEY = "val/score"


class _Rivals(Objective):
    """A network that paints and one that tells painted from real, each with an optimizer of its own kind."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.painter, self.critic = nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        self.modules = {"painter": self.painter, "critic": self.critic}
        self.optimizers = {
            "adam": torch.optim.Adam(self.painter.parameters(), 1e-2),
            "momentum": torch.optim.SGD(self.critic.parameters(), 1e-2, momentum=0.9),
        }

    @property
    def module(self) -> nn.Module:
        return self.painter

    def step(self, batches: Sequence[Tensor], progress: Progress) -> Mapping[str, Tensor]:
        [real] = batches
        painted = self.painter(real[:, :3])
        losses = {
            "momentum": self.critic(painted.detach()).mean() - self.critic(real).mean(),
            "adam": -self.critic(painted).mean(),
        }
        for name, optimizer in self.optimizers.items():
            optimizer.zero_grad()
            losses[name].backward(retain_graph=name == "momentum", inputs=optimizer.param_groups[0]["params"])
        for optimizer in self.optimizers.values():
            optimizer.step()
        return {"total": sum(losses.values()).detach()}

    def learning_rates(self) -> Mapping[str, float]:
        return {}


def advance(objective: _Rivals, steps: range) -> None:
    for number in steps:
        real = torch.randn(8, 4, generator=torch.Generator().manual_seed(number))
        objective.step([real], Progress(number, 10))


def checkpointer(folder: Path, metric: Metric = METRIC, provenance: dict[str, str] | None = None) -> Checkpointer:
    return Checkpointer(folder, provenance or PROVENANCE, Fabric(accelerator="cpu", devices=1), metric, KEY)


def test_two_networks_and_two_optimizers_come_back_bit_for_bit(tmp_path: Path, tiny_model: TrainedModel) -> None:
    whole = _Rivals(0)
    advance(whole, range(3))
    first = checkpointer(tmp_path)
    row = {"step": 3, KEY: 1 / 3}
    first.history.append(row)
    first.save(whole, row, tiny_model)
    resumed, second = _Rivals(1), checkpointer(tmp_path)
    assert second.exists
    assert second.restore(resumed) == 3
    assert second.history == [row]
    for objective in (whole, resumed):
        advance(objective, range(3, 6))
    for name, module in whole.modules.items():
        assert same(resumed.modules[name].state_dict(), module.state_dict()), name
    untouched = _Rivals(0)
    advance(untouched, range(6))
    assert same(resumed.painter.state_dict(), untouched.painter.state_dict())


@pytest.mark.parametrize(("higher", "best"), [(True, 3), (False, 2)])
def test_the_best_weights_are_those_of_the_metrics_direction_also_after_a_resumption(
    higher: bool, best: int, tmp_path: Path, tiny_model: TrainedModel
) -> None:
    metric, objective = METRIC.model_copy(update={"higher_is_better": higher}), _Rivals(0)
    for step_number, value in enumerate((0.5, 0.2, 0.9, 0.9, 0.4), start=1):
        kept = checkpointer(tmp_path, metric)
        kept.restore(objective)
        row = {"step": step_number, KEY: value}
        kept.save(objective, row, dataclasses.replace(tiny_model, step=step_number))
    assert kept.best().step == best, "the first of equals"


# ----------------------------------------------------------------------------------------------- resuming elsewhere

PROVENANCE = {"settings": "a", "data": "b", "cases": "c", "code": "d"}


def checkpoint(folder: Path, step: int, provenance: dict[str, str] | None = None) -> Path:
    """A checkpoint of ``step`` in ``folder``; its weights are drawn with the step as seed."""
    folder.mkdir(exist_ok=True)
    about = {"step": step, "provenance": provenance or PROVENANCE}
    save_state(folder / "last.safetensors", *network_and_optimizer(step, 1), about)
    (folder / "best.safetensors").write_bytes(f"best of {step}".encode())
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}


def test_a_fitting_checkpoint_is_adopted(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "elsewhere", 5)
    checkpointer(tmp_path / "own").adopt(source)
    assert contents(tmp_path / "own") == contents(source)


def test_what_has_come_further_is_kept(tmp_path: Path) -> None:
    own = contents(checkpoint(tmp_path / "own", 7))
    checkpointer(tmp_path / "own").adopt(checkpoint(tmp_path / "elsewhere", 5))
    assert contents(tmp_path / "own") == own
    checkpointer(tmp_path / "own").adopt(checkpoint(tmp_path / "further", 9))
    assert contents(tmp_path / "own") == contents(tmp_path / "further")


@pytest.mark.parametrize("part", sorted(PROVENANCE))
def test_a_checkpoint_of_something_else_is_refused_by_name_and_nothing_is_touched(tmp_path: Path, part: str) -> None:
    source = checkpoint(tmp_path / "elsewhere", 5, PROVENANCE | {part: "another"})
    given, own = contents(source), contents(checkpoint(tmp_path / "own", 3))
    with pytest.raises(FaceReconError, match=f"training.resume_from: .* made of other {part} than this run"):
        checkpointer(tmp_path / "own").adopt(source)
    assert contents(source) == given
    assert contents(tmp_path / "own") == own


@pytest.mark.parametrize("part", sorted(PROVENANCE))
def test_ones_own_checkpoint_of_something_else_is_not_resumed_from(tmp_path: Path, part: str) -> None:
    checkpointer(tmp_path / "nothing yet").check()
    checkpointer(checkpoint(tmp_path, 3)).check()
    before = contents(tmp_path)
    with pytest.raises(FaceReconError, match=f"made of other {part} than this run: give another folder"):
        checkpointer(tmp_path, provenance=PROVENANCE | {part: "another"}).check()
    assert contents(tmp_path) == before


def test_a_checkpoint_without_its_best_weights_is_named(tmp_path: Path) -> None:
    (checkpoint(tmp_path, 3) / "best.safetensors").unlink()
    with pytest.raises(FaceReconError, match=r"has lost its best\.safetensors: give another folder"):
        checkpointer(tmp_path).check()
    with pytest.raises(FaceReconError, match=r"has lost its best\.safetensors: remove resume_from"):
        checkpointer(tmp_path / "own").adopt(tmp_path)


def test_a_folder_without_a_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(FaceReconError, match=r"training.resume_from: .* holds no last.safetensors"):
        checkpointer(tmp_path / "own").adopt(tmp_path)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "last.safetensors").write_bytes(b"half")
    with pytest.raises(FaceReconError, match="not a state that this training can resume from"):
        checkpointer(tmp_path / "own").adopt(tmp_path)


def test_a_folder_is_held_by_one_at_a_time_and_cleared_of_half_files(tmp_path: Path) -> None:
    (tmp_path / f"{TEMPORARY}last-abc.safetensors").write_bytes(b"half")
    (tmp_path / "last.safetensors").write_bytes(b"whole")
    arrived = threading.Event()

    def second() -> None:
        with exclusive(tmp_path):
            arrived.set()

    with exclusive(tmp_path):
        assert contents(tmp_path) == {"last.safetensors": b"whole"}
        thread = threading.Thread(target=second)
        thread.start()
        assert not arrived.wait(0.2)
    assert arrived.wait(10)
    thread.join()
