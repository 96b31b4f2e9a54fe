"""Face reconstruction as plain functions and modules; imports none of ZenML, MLflow or DVC."""

__version__ = "0.1.0"
