"""What only reads configs, tracks, model files and the registry starts fast: it loads no heavy library."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WITHOUT_TORCH = (
    "facerecon.contract",
    "facerecon.data.alignment",
    "facerecon.data.footage.detection",
    "facerecon.data.footage.tracking",
    "facerecon.inference.inpainting",
    "facerecon.inference.predictor",
    "facerecon.perception.mtcnn",
    "facerecon.run",
    "facerecon.weights",
    "pipelines.training",
    "serving.server",
)


def loaded_by(module: str) -> set[str]:
    """The top-level packages that a fresh interpreter holds once it has imported ``module``."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:
        # ZenML wants a program that is a file
        program = Path(folder) / "program.py"
        program.write_text(f"import sys, {module}; print(*sys.modules)")
        done = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_it_is_imported_without_pytorch(module: str) -> None:
    assert "torch" not in loaded_by(module)


def test_a_model_file_needs_neither_onnx_nor_pandas() -> None:
    assert not loaded_by("facerecon.inference.inpainting") & {"torch", "onnx", "pandas", "cv2"}


def test_the_command_says_what_it_can_do_at_once() -> None:
    heavy = {"cv2", "dvc", "great_expectations", "mlflow", "numpy", "onnxruntime", "pandas", "torch", "zenml"}
    assert not loaded_by("cli.main") & heavy
