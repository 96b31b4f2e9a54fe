"""Using a model from its ONNX file, without PyTorch."""
