"""ONNX, its parity with PyTorch, the model card."""
