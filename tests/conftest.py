"""What many tests share: folders of their own instead of the clone's, drawn faces, and the same faces cut out."""

import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

import ops  # switches telemetry off before any tool is imported
from facerecon.data.alignment import AlignmentSettings, align
from facerecon.data.ingest import ingest
from facerecon.data.manifest import Manifest
from facerecon.data.settings import DataSettings
from facerecon.images import read_rgb
from facerecon.inference.making import Model
from facerecon.inference.stages.landmarks import square_about
from facerecon.perception.landmarks import FaceLandmarker, sixty_eight
from facerecon.synthetic import write_dataset
from facerecon.weights import weights_path
from infra.services.supervisor import is_taken
from tests.small_model import landmarks_file, model_file, restoration_file

# a loaded machine is no failure; all else is as Hypothesis has it, which differs in CI
settings.register_profile("facerecon", deadline=None)
settings.load_profile("facerecon")


def pytest_configure(config: pytest.Config) -> None:
    """Give this process a state folder, outputs, a key and a ZenML store of its own: tests write nothing in the clone.

    ZenML's repository is another one, too: a client that finds a `.zen` with a stack unknown to its store rewrites it.
    """
    folder = Path(tempfile.mkdtemp(prefix="facerecon-tests-"))
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    for name in set(os.environ) - set(ops.QUIET):
        if name.startswith(("ZENML_", "MLFLOW_")):
            del os.environ[name]
    for name in (
        "FACERECON_STATE",
        "FACERECON_OUTPUTS",
        "FACERECON_CUSTODY",
        "ZENML_CONFIG_PATH",
        "ZENML_REPOSITORY_PATH",
    ):
        os.environ[name] = str(folder / name.lower())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole pipelines and clusters first: they take longest, and begun last they would keep one process busy alone."""
    items.sort(key=lambda item: not {"pipelines", "kubernetes", "kubeflow"} & set(item.path.parts))


@pytest.fixture(scope="session")
def infra() -> None:
    """What the servers of ``infra/services`` need is installed; else tests skip, or fail if FACERECON_INFRA is set."""
    programs = [name for name in ("initdb", "mariadbd", "unshare", "weed") if not _is_installed(name)]
    modules = [name for name in ("flask_wtf", "psycopg2") if importlib.util.find_spec(name) is None]
    skip_without(programs + modules, "see docs/infra.md")


def skip_without(absent: list[str], remedy: str) -> None:
    """Skip the test if something is not installed; fail it if FACERECON_INFRA is set."""
    if not absent:
        return
    said = f"{', '.join(absent)} not installed: {remedy}"
    if os.environ.get("FACERECON_INFRA"):
        pytest.fail(said)
    pytest.skip(said)


def _is_installed(program: str) -> bool:
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), Path("/usr/sbin"), Path(sys.executable).parent]
    places = [*map(str, folders), os.environ["PATH"]]
    return shutil.which(program, path=os.pathsep.join(places)) is not None


@pytest.fixture(scope="session")
def free_ports(worker_id: str) -> Callable[[], int]:
    """``free_ports()``: the first of eight ports that nobody uses, nor those 10,000 above; a new one at each call."""
    begin = 30_000 + 200 * int(worker_id.removeprefix("gw") if worker_id.startswith("gw") else 49)
    firsts = iter(range(begin, begin + 200, 10))

    def found() -> int:
        for first in firsts:
            if not any(is_taken(port + more) for port in range(first, first + 8) for more in (0, 10_000)):
                return first
        raise AssertionError(f"no free ports from {begin} on")

    return found


@pytest.fixture(scope="session")
def first_port(free_ports: Callable[[], int]) -> int:
    """The first of eight ports for tests that have no servers of their own running."""
    return free_ports()


@pytest.fixture(scope="session")
def landmark_model() -> Path:
    """The bundle of MediaPipe's FaceLandmarker."""
    return weights_path("face_landmarker")


@pytest.fixture(scope="session")
def sample_faces(tmp_path_factory: pytest.TempPathFactory, landmark_model: Path) -> Path:
    """A folder with two photographs, 256 px, of each of eight people who do not exist. Do not write to it."""
    folder = tmp_path_factory.mktemp("sample")
    write_dataset(folder, landmark_model, identities=8, photos=2, size=256, seed=0, workers=1)
    return folder


@pytest.fixture(scope="session")
def aligned(sample_faces: Path, landmark_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The faces of ``sample_faces`` cut out at 64 px. Do not write to its store."""
    photos = ingest(DataSettings(path=str(sample_faces)), sample_faces, tmp_path_factory.mktemp("frames"))
    return align(photos, AlignmentSettings(size=64, workers=1), landmark_model, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def inpainting_model() -> Model:
    """A small network, as a file called tiny.onnx."""
    return Model(model_file(seed=0), "tiny.onnx")


@pytest.fixture(scope="session")
def restoration_model() -> Model:
    """A small network that restores faces, as a file called small.onnx."""
    return Model(restoration_file(seed=0), "small.onnx")


@pytest.fixture(scope="session")
def measuring_model(sample_faces: Path, landmark_model: Path) -> Model:
    """A small network that finds a mean shape in a face, as a file called mean.onnx."""
    shapes = []
    with FaceLandmarker(landmark_model) as landmarker:
        for path in sorted(sample_faces.rglob("*.jpg"))[:6]:
            for points, _ in landmarker.detect(read_rgb(path)):
                found = sixty_eight(points)
                crop = square_about(found)
                z = (found[:, 2].mean() - found[:, 2]) * 64 / crop.side
                shapes.append(np.column_stack([crop.to_crop(found, 64), z]))
    return Model(landmarks_file(np.mean(shapes, axis=0)), "mean.onnx")


@pytest.fixture(scope="session")
def photo(sample_faces: Path) -> Path:
    """A drawn photograph of 256 px with one face."""
    return min(sample_faces.rglob("*.jpg"))


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """A mask for ``photo``: a square over the middle of the face, with soft edges."""
    values = np.zeros((256, 256), np.uint8)
    values[120:170, 100:160] = 255
    values[119, 100:160], values[170, 100:160] = 127, 128
    path = tmp_path / "mask.png"
    Image.fromarray(values).save(path)
    return path
