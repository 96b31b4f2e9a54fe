"""What only looks things up does not wait for PyTorch: in a fresh interpreter, so that no other test has loaded it."""

import subprocess
import sys

NAMES = ("ops.registry", "ops.promotion", "ops.catalogue", "ops.runs", "ops.initial_weights", "ops.reports", "cli.main")
HEAVY = ("torch", "onnx", "onnxruntime", "zenml", "great_expectations", "dvc")


def test_what_looks_up_models_and_runs_loads_no_framework():
    code = f"import sys\nfor name in {NAMES}: __import__(name)\nprint(sorted(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
