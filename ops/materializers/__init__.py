"""How the project's types become ZenML artifacts: parquet, safetensors, ONNX, npz; nothing is pickled.

One module per type, so that a step's version does not follow types that it does not touch.
"""
