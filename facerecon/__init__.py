"""Face reconstruction as plain functions and modules; imports none of ZenML, MLflow or DVC."""

import os

__version__ = "0.1.0"

# PyTorch's OpenMP reads it when it is loaded: threads that spin while they wait for one another take the cores from all
# other processes, and from each other. It changes no sum; the number of threads would.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
