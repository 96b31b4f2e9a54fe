"""MTCNN: a detector that finds faces of any size, slower than MediaPipe's. Its weights lie in facenet-pytorch.

Zhang et al., "Joint Face Detection and Alignment using Multitask Cascaded Convolutional Networks", 2016; ported by Tim
Esler.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


def face_boxes(image: NDArray[np.uint8], smallest: int, min_confidence: float) -> NDArray[np.float64]:
    """Boxes of faces [N, 4] in an RGB image uint8 [H, W, 3]: left, top, right, bottom in pixels; none narrower than
    ``smallest``."""
    boxes, confidences = _network(smallest).detect(image)
    if boxes is None:
        return np.empty((0, 4))
    return np.asarray(boxes, np.float64)[np.asarray(confidences, np.float64) >= min_confidence]


@lru_cache(maxsize=1)
def _network(smallest: int) -> Any:
    # imported when it is used: it brings PyTorch and torchvision along
    from facenet_pytorch import MTCNN

    return MTCNN(min_face_size=smallest, keep_all=True, device="cpu")
