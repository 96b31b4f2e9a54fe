"""Reading and writing an artifact's files through the artifact store."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from zenml.materializers.base_materializer import BaseMaterializer

from facerecon.images import encode_png


class FileMaterializer(BaseMaterializer):
    """Reads and writes files of an artifact through the artifact store, which may be remote."""

    SKIP_REGISTRATION: ClassVar[bool] = True

    def _write(self, name: str, content: bytes) -> None:
        with self.artifact_store.open(f"{self.uri}/{name}", "wb") as stream:
            stream.write(content)

    def _read(self, name: str) -> bytes:
        with self.artifact_store.open(f"{self.uri}/{name}", "rb") as stream:
            return bytes(stream.read())

    def _write_json(self, name: str, value: Any) -> None:
        self._write(name, json.dumps(value, sort_keys=True, allow_nan=False).encode())

    def _read_json(self, name: str) -> Any:
        return json.loads(self._read(name))

    def _write_png(self, name: str, image: NDArray[np.uint8]) -> None:
        """``image`` uint8 [H, W] or [H, W, 3] as a picture for the dashboard."""
        self._write(name, encode_png(image))

    @contextmanager
    def _file(self, suffix: str) -> Iterator[Path]:
        """A local file for libraries that want a path."""
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder) / f"content{suffix}"
