"""What an export ends with. Imports no torch."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ExportedModel:
    """``content`` is the ONNX file; ``report`` says how well it agrees with PyTorch, how fast and how large it is."""

    content: bytes
    report: dict[str, Any]
