"""ONNX Runtime on the CPU, whose errors become one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from facerecon.errors import FaceReconError

if TYPE_CHECKING:
    import onnxruntime


def open_session(content: bytes, threads: int = 0) -> "onnxruntime.InferenceSession":
    """The content of an ONNX file in ONNX Runtime on the CPU; 0 threads leaves their number to it."""
    # imported when it is used: settings are read without it
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what goes wrong is raised; the log would say it again
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@contextmanager
def one_line(what: str, remedy: str) -> Iterator[None]:
    """Turn an error of ONNX Runtime inside the block into a FaceReconError that begins with ``what``."""
    try:
        yield
    # its errors have no base of their own
    except Exception as error:
        said = str(error).strip().splitlines()[0].rpartition(" : ")[2][-200:]
        raise FaceReconError(f"{what} ({said}): {remedy}") from error
