"""A model of any task from its ONNX file: the file is checked against the task's signature, and so is every input."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from facerecon.contract import INPAINTING, SIGNATURES, Array, Signature, Value, shape_of
from facerecon.errors import FaceReconError
from facerecon.files import sha256_bytes
from facerecon.sessions import one_line, open_session


@dataclass(frozen=True)
class ModelAbout:
    """What a model file says about itself.

    ``size`` is the side in pixels it was trained at; the outputs of some tasks are ``scale`` times as high and as wide
    as the image. The digests are SHA-256: of the weights, settings and data behind the model, and of the file.
    """

    task: str
    family: str
    size: int
    scale: int
    licence: str
    weights_digest: str
    config_digest: str
    data_digest: str
    file_digest: str


@dataclass(frozen=True, eq=False)
class Predictor:
    """A model file, ready for use from any number of threads.

    ``signature`` is its task's; ``fixed`` holds the numbers of the symbols that this file does not leave open.
    """

    about: ModelAbout
    signature: Signature
    fixed: Mapping[str, int]
    _session: onnxruntime.InferenceSession = field(repr=False)

    @classmethod
    def load(cls, model: Path | str | bytes, threads: int = 0) -> "Predictor":
        """A model from the path of an ONNX file or from its content; 0 threads leaves their number to ONNX Runtime.

        Raises:
            FaceReconError: it cannot be read, or does not keep the contract of a known task.
        """
        where = "the model" if isinstance(model, bytes) else str(model)
        try:
            content = model if isinstance(model, bytes) else Path(model).read_bytes()
        except OSError as error:
            raise FaceReconError(f"{where}: cannot be read ({error.strerror}): give the model.onnx of a run") from error
        with one_line(f"{where}: not a model that ONNX Runtime can open", "give the model.onnx of a run"):
            session = open_session(content, threads)
        try:
            # a file written before there was a second task does not name its own
            said = {"task": INPAINTING.task, **session.get_modelmeta().custom_metadata_map}
            if said["task"] not in SIGNATURES:
                raise FaceReconError(f"task '{said['task']}'; expected one of {', '.join(sorted(SIGNATURES))}")
            signature = SIGNATURES[said["task"]]
            fixed = _fixed_sizes(signature, session)
            return cls(_about(said, signature, sha256_bytes(content)), signature, fixed, session)
        except FaceReconError as error:
            raise FaceReconError(f"{where}: {error.message}: give a model.onnx that this version exported") from error

    def check(self, task: str, images: NDArray[Any]) -> None:
        """See that the model is of ``task``, and ``images`` RGB uint8 [N, H, W, 3].

        Raises:
            FaceReconError: either is not so.
        """
        if self.about.task != task:
            raise FaceReconError(f"a model of task '{self.about.task}'; expected one of task '{task}'")
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise FaceReconError(f"images: {images.dtype} {list(images.shape)}; expected uint8 [N, H, W, 3], RGB")

    def predict(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, Array]:
        """The outputs by name for ``inputs`` by name, arrays as the signature says; hidden values reach nothing.

        Raises:
            FaceReconError: the inputs are not those of the signature, or the outputs are not.
        """
        arrays, sizes = self.signature.checked(inputs, self.fixed)
        names = [value.name for value in self.signature.outputs]
        shown = " x ".join(map(str, next(iter(arrays.values())).shape))
        with one_line(f"ONNX Runtime failed on {shown} values", "give fewer or smaller ones at a time"):
            outputs = dict(zip(names, self._session.run(names, arrays), strict=True))
        for value in self.signature.outputs:
            output, expected = outputs[value.name], shape_of(value, {"s": self.about.scale, **sizes})
            if output.shape != expected or not np.isfinite(output).all():
                kind = "finite" if output.shape == expected else str(list(expected))
                raise FaceReconError(
                    f"the model's {value.name} {list(output.shape)} is not {kind}, as its contract promises: "
                    "the file is damaged or was exported wrongly; export it again"
                )
        return outputs


def _fixed_sizes(signature: Signature, session: onnxruntime.InferenceSession) -> dict[str, int]:
    """The numbers that this file has in place of symbols for heights and widths."""
    fixed: dict[str, int] = {}
    for kind, values, found in (
        ("inputs", signature.inputs, session.get_inputs()),
        ("outputs", signature.outputs, session.get_outputs()),
    ):
        declared = {each.name: each for each in found}
        if {value.name for value in values} != set(declared) or not all(
            _fits(value, declared[value.name], fixed) for value in values
        ):
            got = ", ".join(f"{each.name} {each.type} {each.shape}" for each in found)
            expected = ", ".join(f"{value.name} tensor(float) {list(value.shape)}" for value in values)
            raise FaceReconError(f"{kind} {got}; expected {expected}")
    return fixed


def _fits(value: Value, declared: onnxruntime.NodeArg, fixed: dict[str, int]) -> bool:
    """Whether a file's type and shape are the contract's. The number of examples must be open; a size may be fixed."""
    if declared.type != "tensor(float)" or len(declared.shape) != len(value.shape):
        return False
    for dim, other in zip(value.shape, declared.shape, strict=True):
        if isinstance(dim, str) and dim != "N" and isinstance(other, int):
            dim = fixed.setdefault(dim, other)
        if dim != other:
            return False
    return True


def _about(said: dict[str, str], signature: Signature, file_digest: str) -> ModelAbout:
    names = ("family", "size", "licence", "weights_digest", "config_digest", "data_digest")
    if missing := [name for name in (*names, *signature.metadata) if name not in said]:
        raise FaceReconError(f"its metadata lacks {', '.join(missing)}")
    for name, text in signature.metadata.items():
        if said[name] != text:
            raise FaceReconError(f"{name} is '{said[name]}'; expected '{text}'")
    scale = said.get("scale", "1")
    for name, number in (("size", said["size"]), ("scale", scale)):
        if not number.isdecimal() or int(number) == 0:
            raise FaceReconError(f"{name} is '{number}'; expected a number from 1 on")
    texts = {name: said[name] for name in ("task", *names) if name != "size"}
    return ModelAbout(**texts, size=int(said["size"]), scale=int(scale), file_digest=file_digest)
