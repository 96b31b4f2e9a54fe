"""Real-ESRGAN x4plus (Wang et al., 2021): enlarges photographs of anything, without PyTorch."""

import numpy as np
from numpy.typing import NDArray

from facerecon.contract import normalise, to_uint8
from facerecon.sessions import open_session
from facerecon.weights import weights_path

WEIGHTS = "realesrgan_x4plus"
"""The row of ``facerecon.weights``: an optional one."""

SCALE = 4
"""An enlarged image has so many times the side."""


class Upscaler:
    """The network on the CPU; 0 ``threads`` leaves their number to ONNX Runtime. One serves many threads.

    Raises ``FaceReconError`` if its weights are absent and cannot be fetched.
    """

    def __init__(self, threads: int = 0) -> None:
        self._session = open_session(weights_path(WEIGHTS).read_bytes(), threads)

    def upscale(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """RGB images uint8 [N, H, W, 3], restored and enlarged to [N, 4H, 4W, 3].

        An image of 32 pixels takes about half a second on one core, and memory grows with pixels times N.
        """
        (restored,) = self._session.run(None, {"image": normalise(images)})
        return to_uint8(restored)
