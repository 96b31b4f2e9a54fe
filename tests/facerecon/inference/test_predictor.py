"""A model file is used only if it keeps its contract, and only on what the contract allows."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from facerecon.contract import INPAINTING, SIGNATURES, Signature, Value
from facerecon.errors import FaceReconError
from facerecon.export.onnx import to_onnx
from facerecon.files import sha256_bytes
from facerecon.inference.predictor import ModelAbout, Predictor
from facerecon.models.trained import TrainedModel
from facerecon.tasks import get_task

ABOUT = {
    "family": "unet_attention",
    "size": "64",
    "licence": "MIT",
    "weights_digest": "0123",
    "config_digest": "4567",
    "data_digest": "89ab",
}
METADATA = {**INPAINTING.metadata, **ABOUT}


def onnx_file(trained: TrainedModel, metadata: dict[str, str]) -> bytes:
    """The model as an ONNX file."""
    task = get_task("inpainting")
    return to_onnx(task.contract(trained), task.signature, task.signature.zeros(N=2, H=64, W=64), metadata)


RESTORATION = Signature(
    "restoration",
    inputs=(Value("image", ("N", 3, "H", "W"), -1, 1),),
    outputs=(Value("restoration", ("N", 3, "sH", "sW"), -1, 1),),
)
LANDMARKS = Signature(
    "landmarks",
    inputs=(Value("image", ("N", 3, "H", "W"), -1, 1),),
    outputs=(Value("landmarks", ("N", 3), -1, 1), Value("depth", ("N", 1, "H", "W"), -1, 1)),
)


@pytest.fixture(scope="module")
def content(tiny_model: TrainedModel) -> bytes:
    """The tiny attention U-Net as a file."""
    return onnx_file(tiny_model, METADATA)


@pytest.fixture(scope="module")
def predictor(content: bytes) -> Predictor:
    return Predictor.load(content, threads=1)


@pytest.fixture
def more_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tasks that are still to come are known."""
    monkeypatch.setitem(SIGNATURES, "restoration", RESTORATION)
    monkeypatch.setitem(SIGNATURES, "landmarks", LANDMARKS)


def with_metadata(content: bytes, **changed: str | None) -> bytes:
    """The file with other metadata; None takes a line out."""
    proto = onnx.load_from_string(content)
    kept = {entry.key: entry.value for entry in proto.metadata_props} | changed
    del proto.metadata_props[:]
    helper.set_model_props(proto, {key: value for key, value in kept.items() if value is not None})
    return proto.SerializeToString()


Dims = list[int | str]


def drawn(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, Dims],
    outputs: dict[str, Dims],
    constants: dict[str, np.ndarray],
    **metadata: str,
) -> bytes:
    """A model file drawn by hand."""
    graph = helper.make_graph(
        nodes,
        "drawn",
        *(
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in values.items()]
            for values in (inputs, outputs)
        ),
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(proto, ABOUT | metadata)
    return proto.SerializeToString()


def filled_with(value: float, dims: Dims | None = None) -> bytes:
    """An inpainting model that paints one value everywhere; ``dims`` are the image's."""
    dims = dims or ["N", 3, "H", "W"]
    rest = [dims[0], 1, *dims[2:]]
    nodes = [
        helper.make_node("Mul", ["image", "nought"], ["black"]),
        helper.make_node("Add", ["black", "value"], ["reconstruction"]),
        helper.make_node("Identity", ["mask"], ["confidence"]),
    ]
    constants = {"nought": np.float32(0), "value": np.float32(value)}
    inputs, outputs = {"image": dims, "mask": rest}, {"reconstruction": dims, "confidence": rest}
    return drawn(nodes, inputs, outputs, constants, **INPAINTING.metadata)


def enlarged(factor: float, **metadata: str) -> bytes:
    """A restoration that repeats pixels."""
    node = helper.make_node("Resize", ["image", "", "scales"], ["restoration"], mode="nearest")
    constants = {"scales": np.array([1, 1, factor, factor], np.float32)}
    outputs: dict[str, Dims] = {"restoration": ["N", 3, "sH", "sW"]}
    return drawn([node], {"image": ["N", 3, "H", "W"]}, outputs, constants, task="restoration", **metadata)


def inputs(count: int = 2, height: int = 37, width: int = 50) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    image = rng.uniform(-1, 1, (count, 3, height, width)).astype(np.float32)
    return {"image": image, "mask": (rng.random((count, 1, height, width)) < 0.5).astype(np.float32)}


# ------------------------------------------------------------------------------------------------------------ loading


def test_a_file_says_what_it_is(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    known = {"task": "inpainting", "family": "unet_attention", "size": 64, "scale": 1, "licence": "MIT"}
    digests = {"weights_digest": "0123", "config_digest": "4567", "data_digest": "89ab"}
    for model in (content, path, str(path)):
        assert Predictor.load(model).about == ModelAbout(**known, **digests, file_digest=sha256_bytes(content))


def test_a_file_may_name_the_task_that_it_has_without_a_name(content: bytes) -> None:
    assert Predictor.load(with_metadata(content, task="inpainting")).about.task == "inpainting"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"task": "baking"}, "task 'baking'; expected one of inpainting"),
        ({"task": "restoration"}, r"inputs image tensor\(float\) .*, mask .*; expected image tensor\(float\) \['N', 3"),
        ({"licence": None, "weights_digest": None}, "its metadata lacks licence, weights_digest"),
        ({"mask_polarity": "0 = hole"}, "mask_polarity is '0 = hole'; expected '1 = hole, 0 = known'"),
        ({"normalisation": None}, "its metadata lacks normalisation"),
        ({"size": "64 px"}, "size is '64 px'; expected a number from 1 on"),
        ({"scale": "0"}, "scale is '0'; expected a number from 1 on"),
    ],
)
def test_a_file_of_another_contract_is_refused(
    changed: dict[str, str | None], said: str, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    if changed.get("task") == "restoration":
        monkeypatch.setitem(SIGNATURES, "restoration", RESTORATION)
    with pytest.raises(FaceReconError, match=f"^the model: {said}"):
        Predictor.load(with_metadata(content, **changed))


@pytest.mark.parametrize(
    "dims", [["N", 4, "H", "W"], [1, 3, "H", "W"], ["batch", 3, "H", "W"], ["N", 3, "W", "H"], ["N", 3, 8, 8, 8]]
)
def test_a_file_of_other_shapes_is_refused(dims: Dims) -> None:
    with pytest.raises(
        FaceReconError, match=r"inputs image tensor\(float\) .*; expected image tensor\(float\) \['N', 3"
    ):
        Predictor.load(filled_with(0, dims))


def test_a_file_of_another_type_is_refused() -> None:
    proto = onnx.load_from_string(filled_with(0))
    proto.graph.input[1].type.tensor_type.elem_type = TensorProto.DOUBLE
    proto.graph.output[1].type.tensor_type.elem_type = TensorProto.DOUBLE
    with pytest.raises(FaceReconError, match=r"mask tensor\(double\) .*; expected"):
        Predictor.load(proto.SerializeToString())


@pytest.mark.parametrize("broken", [b"", b"no model", pytest.param(None, id="cut off")])
def test_what_is_no_model_is_one_line(broken: bytes | None, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "photo.onnx"
    path.write_bytes(content[:1000] if broken is None else broken)
    with pytest.raises(FaceReconError, match=r"photo\.onnx: not a model that ONNX Runtime can open \(.+\): give the"):
        Predictor.load(path)


def test_a_newer_format_than_the_runtimes_is_named(content: bytes) -> None:
    proto = onnx.load_from_string(content)
    proto.ir_version = 99
    with pytest.raises(FaceReconError, match="Unsupported model IR version: 99"):
        Predictor.load(proto.SerializeToString())


def test_a_path_with_no_file_is_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.onnx", tmp_path):
        with pytest.raises(FaceReconError, match=r"cannot be read \(.+\): give the model\.onnx of a run"):
            Predictor.load(path)


# --------------------------------------------------------------------------------------------------------- predicting


def test_it_gives_what_pytorch_gives(predictor: Predictor, tiny_model: TrainedModel) -> None:
    arrays = inputs()
    image, mask = (torch.from_numpy(arrays[name]) for name in ("image", "mask"))
    with torch.inference_mode():
        expected = tiny_model.build()(image, mask)
    outputs = predictor.predict(arrays)
    assert list(outputs) == ["reconstruction", "confidence"]
    assert np.allclose(outputs["reconstruction"], expected.reconstruction.numpy(), atol=1e-5)
    assert np.allclose(outputs["confidence"], expected.confidence(mask).numpy(), atol=1e-5)


@pytest.mark.parametrize("hidden", [0.7, np.nan, np.inf, 1e30])
def test_what_is_hidden_reaches_nothing(predictor: Predictor, hidden: float) -> None:
    arrays = inputs()
    spoiled = np.where(arrays["mask"] == 1, np.float32(hidden), arrays["image"])
    expected, outputs = predictor.predict(arrays), predictor.predict(arrays | {"image": spoiled})
    assert all(np.array_equal(outputs[name], expected[name]) for name in expected)


def test_hidden_values_are_kept_from_a_file_that_would_use_them() -> None:
    pairs = {"image": "reconstruction", "mask": "confidence"}
    nodes = [helper.make_node("Identity", [name], [result]) for name, result in pairs.items()]
    shapes: dict[str, Dims] = {"image": ["N", 3, "H", "W"], "mask": ["N", 1, "H", "W"]}
    results = {"reconstruction": shapes["image"], "confidence": shapes["mask"]}
    careless = Predictor.load(drawn(nodes, shapes, results, {}, **INPAINTING.metadata))
    arrays = inputs()
    shown = careless.predict(arrays)["reconstruction"]
    assert np.array_equal(shown, np.where(arrays["mask"] == 1, 0, arrays["image"]))


def test_inputs_that_break_the_contract_are_refused(predictor: Predictor) -> None:
    with pytest.raises(FaceReconError, match=r"mask holds 0\.25; expected 0 or 1"):
        predictor.predict({name: array * np.float32(0.25) for name, array in inputs().items()})


def test_a_file_of_one_size_takes_that_size_alone() -> None:
    fixed = Predictor.load(filled_with(0.5, ["N", 3, 8, 16]))
    assert fixed.fixed == {"H": 8, "W": 16}
    assert fixed.predict(inputs(3, 8, 16))["reconstruction"].shape == (3, 3, 8, 16)
    with pytest.raises(FaceReconError, match=r"image: float32 \[3, 3, 8, 8\]; expected .* where H = 8, W = 16"):
        fixed.predict(inputs(3, 8, 8))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_no_numbers_are_not_passed_on(value: float) -> None:
    with pytest.raises(FaceReconError, match=r"the model's reconstruction \[2, 3, 37, 50\] is not finite"):
        Predictor.load(filled_with(value)).predict(inputs())


def test_an_error_of_the_runtime_is_one_line(predictor: Predictor) -> None:
    class Full:
        def run(self, names: list[str], arrays: dict[str, np.ndarray]) -> None:
            raise RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory\nat line 7")

    full = replace(predictor, _session=Full())
    with pytest.raises(FaceReconError, match=r"on 2 x 3 x 37 x 50 values \(Failed to allocate memory\): give fewer"):
        full.predict(inputs())


def test_other_tasks_have_other_signatures(more_tasks: None) -> None:
    image = inputs()["image"]
    restored = Predictor.load(enlarged(2, scale="2"))
    assert (restored.about.task, restored.about.scale) == ("restoration", 2)
    output = restored.predict({"image": image})["restoration"]
    assert np.array_equal(output, image.repeat(2, axis=2).repeat(2, axis=3))
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["landmarks"]),
        helper.make_node("ReduceMean", ["image", "channels"], ["depth"]),
    ]
    results: dict[str, Dims] = {"landmarks": ["N", 3], "depth": ["N", 1, "H", "W"]}
    measured = Predictor.load(
        drawn(nodes, {"image": ["N", 3, "H", "W"]}, results, {"channels": np.array([1])}, task="landmarks")
    )
    outputs = measured.predict({"image": image})
    assert np.allclose(outputs["landmarks"], image.mean((2, 3)), atol=1e-6)
    assert np.allclose(outputs["depth"], image.mean(1, keepdims=True), atol=1e-6)


def test_a_file_that_enlarges_otherwise_than_it_says_is_found_out(more_tasks: None) -> None:
    with pytest.raises(FaceReconError, match=r"restoration \[2, 3, 111, 150\] is not \[2, 3, 74, 100\]"):
        Predictor.load(enlarged(3, scale="2")).predict({"image": inputs()["image"]})


def test_many_threads_may_share_one(predictor: Predictor) -> None:
    arrays = [inputs(1, side, side) for side in (16, 24, 32, 40)] * 3
    expected = [predictor.predict(one)["reconstruction"] for one in arrays]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: predictor.predict(one)["reconstruction"], arrays))
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
