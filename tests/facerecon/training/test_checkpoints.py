"""Checkpoints: what is written comes back, and anything else is refused."""

import dataclasses
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from facerecon.errors import FaceReconError
from facerecon.files import TEMPORARY
from facerecon.models import build_model
from facerecon.models.trained import TrainedModel, save_model
from facerecon.training.checkpoints import adopt, check_own, load_state, own_folder, save_state

OPTIONS = {"features": [4, 8]}
EXTRA = {"history": [{"step": 1, "loss/total": 0.1 + 0.2}], "best": 1 / 3}


def network_and_optimizer(seed: int, steps: int = 0) -> tuple[dict[str, torch.nn.Module], torch.optim.AdamW]:
    """A network after so many steps of training towards black."""
    torch.manual_seed(seed)
    model = build_model("unet_attention", OPTIONS)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(steps):
        step({"model": model}, optimizer)
    return {"model": model}, optimizer


def step(modules: dict[str, torch.nn.Module], optimizer: torch.optim.AdamW) -> None:
    image, mask = torch.linspace(-1, 1, 2 * 3 * 64).reshape(2, 3, 8, 8), torch.ones(2, 1, 8, 8)
    mask[..., :4] = 0
    (modules["model"](image, mask).prediction + 1).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


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
    save_state(tmp_path / "last.safetensors", 3, *network_and_optimizer(0, 1), {})
    with pytest.raises(FaceReconError, match="not a facerecon model"):
        TrainedModel.read(tmp_path / "last.safetensors")


@pytest.mark.parametrize(
    "changes", [{"options": {"features": [4, 16]}}, {"options": {"width": 3}}, {"family": "of another version"}]
)
def test_weights_of_another_network_are_refused(changes: dict[str, object], tiny_model: TrainedModel) -> None:
    with pytest.raises(FaceReconError):
        dataclasses.replace(tiny_model, **changes).build()


def test_a_state_comes_back_and_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    modules, optimizer = network_and_optimizer(0, 3)
    save_state(path, 3, modules, optimizer, EXTRA)
    other, other_optimizer = network_and_optimizer(1, 1)
    assert load_state(path, other, other_optimizer) == (3, EXTRA)
    assert same(other["model"].state_dict(), modules["model"].state_dict())
    for _ in range(3):
        step(modules, optimizer)
        step(other, other_optimizer)
    assert same(other["model"].state_dict(), modules["model"].state_dict())


def test_a_state_before_the_first_step_comes_back(tmp_path: Path) -> None:
    save_state(tmp_path / "last.safetensors", 0, *network_and_optimizer(0), {})
    assert load_state(tmp_path / "last.safetensors", *network_and_optimizer(1)) == (0, {})


def test_no_state_is_none(tmp_path: Path) -> None:
    assert load_state(tmp_path / "last.safetensors", *network_and_optimizer(0)) is None


@pytest.mark.parametrize("what", foreign_files(b"").keys())
def test_what_is_no_state_is_refused(what: str, tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    modules, optimizer = network_and_optimizer(0, 1)
    save_state(path, 1, modules, optimizer, EXTRA)
    path.write_bytes(foreign_files(path.read_bytes())[what])
    with pytest.raises(FaceReconError, match=r"last\.safetensors: .* remove it"):
        load_state(path, modules, optimizer)


def test_a_state_of_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    save_state(path, 1, *network_and_optimizer(0, 1), EXTRA)
    other = build_model("unet_attention", {"features": [4, 16]})
    with pytest.raises(FaceReconError, match="remove it"):
        load_state(path, {"model": other}, torch.optim.AdamW(other.parameters()))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, tiny_model: TrainedModel) -> None:
    path = tmp_path / "last.safetensors"
    modules, optimizer = network_and_optimizer(0, 1)
    save_state(path, 1, modules, optimizer, EXTRA)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save_state(path, 2, modules, optimizer, {"not JSON": object()})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["last.safetensors"]


# ------------------------------------------------------------------------------------------- going on from elsewhere

ORIGIN = {"settings": "a", "data": "b", "masks": "c", "code": "d"}


def checkpoint(folder: Path, step: int, origin: dict[str, str] | None = None) -> Path:
    """A checkpoint of ``step`` in ``folder``; its weights are drawn with the step as seed."""
    folder.mkdir(exist_ok=True)
    save_state(folder / "last.safetensors", step, *network_and_optimizer(step, 1), {"origin": origin or ORIGIN})
    (folder / "best.safetensors").write_bytes(f"best of {step}".encode())
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}


def test_a_fitting_checkpoint_is_adopted(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "elsewhere", 5)
    adopt(tmp_path / "own", source, ORIGIN)
    assert contents(tmp_path / "own") == contents(source)


def test_what_has_come_further_is_kept(tmp_path: Path) -> None:
    own = contents(checkpoint(tmp_path / "own", 7))
    adopt(tmp_path / "own", checkpoint(tmp_path / "elsewhere", 5), ORIGIN)
    assert contents(tmp_path / "own") == own
    adopt(tmp_path / "own", checkpoint(tmp_path / "further", 9), ORIGIN)
    assert contents(tmp_path / "own") == contents(tmp_path / "further")


@pytest.mark.parametrize("part", sorted(ORIGIN))
def test_a_checkpoint_of_something_else_is_refused_by_name_and_nothing_is_touched(tmp_path: Path, part: str) -> None:
    source = checkpoint(tmp_path / "elsewhere", 5, ORIGIN | {part: "another"})
    given, own = contents(source), contents(checkpoint(tmp_path / "own", 3))
    with pytest.raises(FaceReconError, match=f"training.resume_from: .* made of other {part} than this run"):
        adopt(tmp_path / "own", source, ORIGIN)
    assert contents(source) == given
    assert contents(tmp_path / "own") == own


@pytest.mark.parametrize("part", sorted(ORIGIN))
def test_ones_own_checkpoint_of_something_else_is_not_gone_on_from(tmp_path: Path, part: str) -> None:
    check_own(tmp_path / "nothing yet", ORIGIN)
    check_own(checkpoint(tmp_path, 3), ORIGIN)
    before = contents(tmp_path)
    with pytest.raises(FaceReconError, match=f"made of other {part} than this run: give another folder"):
        check_own(tmp_path, ORIGIN | {part: "another"})
    assert contents(tmp_path) == before


def test_a_checkpoint_without_its_best_weights_is_named(tmp_path: Path) -> None:
    (checkpoint(tmp_path, 3) / "best.safetensors").unlink()
    with pytest.raises(FaceReconError, match=r"has lost its best\.safetensors: give another folder"):
        check_own(tmp_path, ORIGIN)
    with pytest.raises(FaceReconError, match=r"has lost its best\.safetensors: remove resume_from"):
        adopt(tmp_path / "own", tmp_path, ORIGIN)


def test_a_folder_without_a_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(FaceReconError, match=r"training.resume_from: .* holds no last.safetensors"):
        adopt(tmp_path / "own", tmp_path, ORIGIN)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "last.safetensors").write_bytes(b"half")
    with pytest.raises(FaceReconError, match="not a state that this training can go on from"):
        adopt(tmp_path / "own", tmp_path, ORIGIN)


def test_a_folder_is_held_by_one_at_a_time_and_cleared_of_half_files(tmp_path: Path) -> None:
    (tmp_path / f"{TEMPORARY}last-abc.safetensors").write_bytes(b"half")
    (tmp_path / "last.safetensors").write_bytes(b"whole")
    arrived = threading.Event()

    def second() -> None:
        with own_folder(tmp_path):
            arrived.set()

    with own_folder(tmp_path):
        assert contents(tmp_path) == {"last.safetensors": b"whole"}
        thread = threading.Thread(target=second)
        thread.start()
        assert not arrived.wait(0.2)
    assert arrived.wait(10)
    thread.join()
