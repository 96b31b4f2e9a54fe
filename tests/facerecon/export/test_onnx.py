"""The exported file keeps its contract: whoever has ONNX Runtime can use it, and it is the model that was trained."""

import dataclasses
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from facerecon.errors import FaceReconError
from facerecon.export import onnx as export_module
from facerecon.export.onnx import OPSET, export, open_session, psnr_of, to_onnx
from facerecon.export.result import ExportedModel
from facerecon.files import sha256_bytes
from facerecon.models import ReconstructionModel, build_model, families_of
from facerecon.models.trained import TrainedModel, save_model
from facerecon.tasks import get_task
from facerecon.tasks.inpainting.export import Contract

ROOT = Path(__file__).parents[3]
METADATA = {"licence": "MIT", "family": "unet_attention", "mask": "1 = hole", "weights_digest": "0123"}
QUICK: dict[str, dict[str, Any]] = {"unet_fill": {"prior_iterations": 4}}
"""Of families of which an export takes long, options that leave out only repetitions: the default is slow."""
every_family = pytest.mark.parametrize(
    "trained",
    [
        *(pytest.param((family, QUICK.get(family, {})), id=family) for family in families_of("inpainting")),
        *(pytest.param((family, {}), id=f"{family}-default", marks=pytest.mark.slow) for family in QUICK),
    ],
    indirect=True,
)
Arrays = tuple[np.ndarray, np.ndarray]
TASK = get_task("inpainting")


def file_of(trained: TrainedModel, metadata: dict[str, str]) -> bytes:
    """A trained model as a file."""
    side = max(8, TASK.contract(trained).model.stride)
    return to_onnx(TASK.contract(trained), TASK.signature, TASK.signature.zeros(N=2, H=side, W=side), metadata)


def export_module_of(module: torch.nn.Module, min_parity: float) -> ExportedModel:
    image, mask = inputs(2, 64, 64)
    return export(module, TASK.signature, {"image": image, "mask": mask}, METADATA, min_parity)


@pytest.fixture(scope="module")
def exported(tiny_model: TrainedModel) -> bytes:
    """The tiny attention U-Net as a file."""
    return file_of(tiny_model, METADATA)


@pytest.fixture(scope="module")
def trained(request: pytest.FixtureRequest) -> TrainedModel:
    """A family with options, statistics of its batch normalisations and of faces not a fresh network's."""
    family, options = request.param
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(family, options)
        alike = F.interpolate(torch.randn(400, 3, 8, 8), size=(32, 32), mode="bilinear") / 2
        model.fit(torch.tanh(alike + torch.randn_like(alike) / 10).split(50))
        for name, value in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                value.copy_(torch.rand_like(value) + 0.5)
    return TrainedModel(family, options, 2 * model.stride, 1, dict(model.state_dict()))


@pytest.fixture(scope="module")
def content(trained: TrainedModel) -> bytes:
    """That family as a file."""
    return file_of(trained, METADATA)


def inputs(count: int, height: int, width: int, seed: int = 0) -> Arrays:
    """Images in [-1, 1] and masks of which half is hole."""
    rng = np.random.default_rng(seed)
    image = rng.uniform(-1, 1, (count, 3, height, width)).astype(np.float32)
    return image, (rng.random((count, 1, height, width)) < 0.5).astype(np.float32)


def run(content: bytes, image: np.ndarray, mask: np.ndarray) -> Arrays:
    reconstruction, confidence = open_session(content, 1).run(None, {"image": image, "mask": mask})
    return reconstruction, confidence


def in_torch(trained: TrainedModel, image: np.ndarray, mask: np.ndarray) -> Arrays:
    holes = torch.from_numpy(mask)
    with torch.inference_mode():
        output = trained.build()(torch.from_numpy(image), holes)
    return output.reconstruction.numpy(), output.confidence(holes).numpy()


# ------------------------------------------------------------------------------------------------------ every family


@every_family
def test_names_types_and_shapes_are_the_contracts(content: bytes, trained: TrainedModel) -> None:
    proto = onnx.load_from_string(content)
    onnx.checker.check_model(proto, full_check=True)

    def described(values: list[onnx.ValueInfoProto]) -> dict[str, list[str | int]]:
        assert all(value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT for value in values)
        dims = {value.name: value.type.tensor_type.shape.dim for value in values}
        return {name: [dim.dim_param or dim.dim_value for dim in shape] for name, shape in dims.items()}

    assert described(proto.graph.input) == {"image": ["N", 3, "H", "W"], "mask": ["N", 1, "H", "W"]}
    assert described(proto.graph.output) == {"reconstruction": ["N", 3, "H", "W"], "confidence": ["N", 1, "H", "W"]}
    assert {entry.domain: entry.version for entry in proto.opset_import}[""] == OPSET
    assert {node.domain for node in proto.graph.node} <= {""}, "operations that not every runtime has"
    assert proto.ir_version == 8, "the lowest for this opset: a newer one shuts out older runtimes"


@every_family
@pytest.mark.parametrize(("count", "height", "width"), [(1, 16, 16), (1, 37, 80), (3, 64, 33)])
def test_it_computes_what_pytorch_computes_at_any_size(
    content: bytes, trained: TrainedModel, count: int, height: int, width: int
) -> None:
    image, mask = inputs(count, height, width)
    for got, wanted, peak in zip(run(content, image, mask), in_torch(trained, image, mask), (2, 1), strict=True):
        assert got.shape == wanted.shape
        assert got.dtype == np.float32
        assert psnr_of(got, wanted, peak) >= 100


@every_family
@pytest.mark.parametrize("hidden", [0.7, math.nan, math.inf])
def test_what_lies_under_the_mask_does_not_pass(content: bytes, trained: TrainedModel, hidden: float) -> None:
    side = trained.size
    image, mask = inputs(2, side, side)
    wanted = run(content, image, mask)
    got = run(content, np.where(mask == 1, np.float32(hidden), image), mask)
    for after, before in zip(got, wanted, strict=True):
        assert np.isfinite(after).all()
        assert np.array_equal(after, before)


@every_family
def test_known_pixels_come_back_and_values_stay_in_range(content: bytes, trained: TrainedModel) -> None:
    side = trained.size
    image, mask = inputs(2, side, side)
    reconstruction, confidence = run(content, image, mask)
    known = np.broadcast_to(mask == 0, image.shape)
    assert np.array_equal(reconstruction[known], image[known])
    assert not np.array_equal(reconstruction[~known], image[~known])
    assert np.abs(reconstruction).max() <= 1
    assert (confidence[mask == 0] == 1).all()
    assert confidence.min() >= 0
    assert confidence.max() <= 1


@every_family
def test_the_file_says_nothing_about_where_it_was_made(content: bytes, trained: TrainedModel) -> None:
    for trace in (str(ROOT), str(Path.home()), sys.prefix, "site-packages", "Traceback", "stack_trace", 'File "'):
        assert trace.encode() not in content, trace
    assert not re.search(rb"\w\.py\b", content), "the name of a source file"
    for line in (b"torch.where", b"def forward", b"self.", b"return "):
        assert line not in content, "a line of source code"
    proto = onnx.load_from_string(content)
    assert not any(node.doc_string or node.metadata_props for node in proto.graph.node)
    assert proto.producer_version == ""


# ------------------------------------------------------------------------------------------------------------- bytes


def test_metadata_stands_in_the_file_and_nothing_else(exported: bytes) -> None:
    proto = onnx.load_from_string(exported)
    assert {entry.key: entry.value for entry in proto.metadata_props} == METADATA
    assert open_session(exported).get_modelmeta().custom_metadata_map == METADATA


@pytest.mark.slow
def test_same_weights_and_metadata_same_bytes(exported: bytes, tiny_model: TrainedModel) -> None:
    again = dataclasses.replace(tiny_model, weights=dict(reversed(tiny_model.weights.items())))
    assert file_of(again, dict(reversed(METADATA.items()))) == exported
    other = tiny_model.weights | {"image_head.bias": tiny_model.weights["image_head.bias"] + 1}
    assert file_of(dataclasses.replace(tiny_model, weights=other), METADATA) != exported
    assert file_of(tiny_model, METADATA | {"licence": "other"}) != exported


def test_another_process_in_another_folder_writes_the_same_bytes(
    exported: bytes, tiny_model: TrainedModel, tmp_path: Path
) -> None:
    save_model(tmp_path / "model.safetensors", tiny_model)
    (tmp_path / "elsewhere.py").write_text(
        "import pathlib, sys\n"
        "from facerecon.export.onnx import to_onnx\n"
        "from facerecon.models.trained import TrainedModel\n"
        "from facerecon.tasks import get_task\n"
        "task = get_task('inpainting')\n"
        "module = task.contract(TrainedModel.read(pathlib.Path('model.safetensors')))\n"
        "example = task.signature.zeros(N=2, H=8, W=8)\n"
        f"content = to_onnx(module, task.signature, example, {METADATA!r})\n"
        "pathlib.Path('model.onnx').write_bytes(content)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "elsewhere.py"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert sha256_bytes((tmp_path / "model.onnx").read_bytes()) == sha256_bytes(exported)


@pytest.mark.slow
def test_a_model_as_small_as_its_stride_can_be_exported() -> None:
    options = {"features": [4, 4, 4, 4, 4]}
    model = build_model("unet_attention", options)
    trained = TrainedModel("unet_attention", options, model.stride, 1, dict(model.state_dict()))
    image, mask = inputs(1, model.stride, 3 * model.stride)
    for got, wanted in zip(run(file_of(trained, {}), image, mask), in_torch(trained, image, mask), strict=True):
        assert psnr_of(got, wanted, 1) >= 100


def test_without_a_confidence_head_confidence_is_1() -> None:
    options = {"features": [4, 8], "confidence": False}
    trained = TrainedModel("unet_attention", options, 8, 1, dict(build_model("unet_attention", options).state_dict()))
    _, confidence = run(file_of(trained, {}), *inputs(2, 8, 8))
    assert confidence.shape == (2, 1, 8, 8)
    assert (confidence == 1).all()


# ------------------------------------------------------------------------------------------------- parity and speed


def test_psnr_of_is_by_its_definition() -> None:
    zero = np.zeros((1, 2), np.float32)
    assert psnr_of(zero + 0.5, zero, 1) == pytest.approx(6.0206, abs=1e-4)
    assert psnr_of(zero + 0.5, zero, 2) == pytest.approx(12.0412, abs=1e-4)
    assert psnr_of(zero, zero, 1) == math.inf
    assert math.isnan(psnr_of(zero * math.nan, zero, 1))


def test_export_reports_parity_speed_and_size(tiny_model: TrainedModel, exported: bytes) -> None:
    result = export_module_of(TASK.contract(tiny_model), 100)
    assert result.content == exported
    assert result.report["bytes"] == len(exported)
    assert result.report["faces"] == 2
    assert result.report["threads"] == torch.get_num_threads()
    assert result.report["parity_psnr"].keys() == {"reconstruction", "confidence"}
    assert all(value is None or value >= 100 for value in result.report["parity_psnr"].values())
    for times in result.report["latency"].values():
        assert 0 < times["median"] <= times["p95"]


class _Unlike(ReconstructionModel):
    """Paints a little differently when it is traced, as an operation would that a runtime computes otherwise."""

    offset = 0.0

    def predict(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        error = self.offset if torch.compiler.is_compiling() else 0.0
        return torch.tanh(inputs[:, :3]) * 0.5 + error, None


@pytest.mark.parametrize("offset", [1e-3, math.nan])
def test_a_file_that_computes_something_else_is_not_exported(offset: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Unlike, "offset", offset)
    with pytest.raises(FaceReconError, match=r"differs from PyTorch, .* dB where onnx\.min_parity_psnr asks for 100"):
        export_module_of(Contract(_Unlike()).eval(), 100)


@pytest.mark.parametrize(("output", "at"), [(0, None), (1, None), (1, 61)])
def test_what_differs_in_any_output_or_at_a_size_off_the_stride_is_not_exported(
    output: int, at: int | None, tiny_model: TrainedModel, exported: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = export_module.open_session

    class Spoiled:
        """ONNX Runtime, but for one output in which one value is no number."""

        def __init__(self, content: bytes, threads: int = 0) -> None:
            self.session = real(content, threads)

        def run(self, names: None, given: dict[str, Any]) -> list[Any]:
            outputs = [value.copy() for value in self.session.run(names, given)]
            if at in (None, outputs[output].shape[2]):
                outputs[output][0, 0, 0, 0] = math.nan
            return outputs

    monkeypatch.setattr(export_module, "open_session", Spoiled)
    # the file that the exporter makes of this model; what is asked here comes after
    monkeypatch.setattr(export_module, "to_onnx", lambda *arguments: exported)
    with pytest.raises(FaceReconError, match=r"differs from PyTorch, nan dB"):
        export_module_of(TASK.contract(tiny_model), 60)


def test_export_leaves_the_exporters_log_level_alone(tiny_model: TrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise RuntimeError

    logger = export_module.logging.getLogger("torch.onnx")
    before = logger.level
    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(RuntimeError):
        file_of(tiny_model, {})
    assert logger.level == before
