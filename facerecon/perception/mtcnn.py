"""MTCNN: a detector that finds faces of any size, with five points each; slower than MediaPipe's, and without PyTorch.

Zhang et al., "Joint Face Detection and Alignment using Multitask Cascaded Convolutional Networks", 2016, with the
networks of facenet-pytorch, and computing what it computes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facerecon.sessions import open_session
from facerecon.weights import weights_path

WEIGHTS = ("mtcnn_pnet", "mtcnn_rnet", "mtcnn_onet")
"""The weights of its three stages: P-Net proposes squares, R-Net refuses most of them, O-Net decides."""

Array = NDArray[np.float32]
Indices = NDArray[np.int64]
Sums = NDArray[np.uint32]

_SIDES = (12, 24, 48)
"""The side in pixels of what the network of each stage looks at."""

_SCORES = (0.6, 0.7, 0.7)
"""The probability that a face needs in each stage."""

_STRIDE, _STEP = 2, 0.709
"""P-Net looks at a square every so many pixels; a level of its pyramid has so many times the side of the one before."""

_AT_ONCE = 512
"""So many crops at most go through a network together."""


class Faces(NamedTuple):
    """Faces, surest first, in pixels: ``boxes`` [N, 4] left, top, right, bottom; ``points`` [N, 5, 2] left eye, right
    eye, nose, left and right corner of the mouth; ``confidences`` [N] from 0 to 1."""

    boxes: Array
    points: Array
    confidences: Array


class Mtcnn:
    """The three networks on the CPU; 0 ``threads`` leaves their number to ONNX Runtime. One serves many threads.

    Raises ``FaceReconError`` if weights are absent and cannot be fetched.
    """

    def __init__(self, threads: int = 0) -> None:
        self._networks = [open_session(weights_path(name).read_bytes(), threads) for name in WEIGHTS]

    def detect(self, image: NDArray[np.uint8], smallest: int) -> Faces:
        """The faces in an RGB image uint8 [H, W, 3]; those smaller than about ``smallest`` pixels are not seen."""
        sums = _summed(image)
        boxes = _squared(self._proposals(sums, smallest))

        boxes, scores, offsets = self._judged(1, boxes, sums)
        kept = _each_once(boxes, scores, 0.7)
        # turned round: of faces with equal scores facenet-pytorch keeps the last one here, and the first one elsewhere
        boxes = _squared(_moved(boxes[kept], offsets[kept], 1))[::-1]

        boxes, scores, offsets, places = self._judged(2, boxes, sums)
        points = boxes[:, None, :2] + places.reshape(-1, 2, 5).transpose(0, 2, 1) * _sizes(boxes, 1)[:, None] - 1
        boxes = _moved(boxes, offsets, 1)
        kept = _each_once(boxes, scores, 0.7, of_smaller=True)
        return Faces(boxes[kept], points[kept], scores[kept])

    def _proposals(self, sums: Sums, smallest: int) -> Array:
        """Boxes [N, 4] in which P-Net sees a face on any level of the pyramid."""
        height, width = sums.shape[1] - 1, sums.shape[2] - 1
        scale, field = _SIDES[0] / smallest, _SIDES[0]
        least = min(height, width) * scale
        levels = [np.empty((0, 9), np.float32)]
        while least >= field:
            shown = _shrunk(sums, np.array([[0, 0, width, height]]), int(height * scale + 1), int(width * scale + 1))
            probabilities, offsets = self._networks[0].run(None, {"image": shown})
            rows, columns = np.nonzero(probabilities[0, 1] >= _SCORES[0])
            first = np.stack([columns, rows], 1).astype(np.float32) * _STRIDE
            boxes = np.floor(np.hstack([first + 1, first + field]) / np.float32(scale))
            scores = probabilities[0, 1, rows, columns]
            kept = _each_once(boxes, scores, 0.5)
            levels.append(np.column_stack([boxes, scores, offsets[0, :, rows, columns]])[kept])
            scale, least = scale * _STEP, least * _STEP
        boxes, scores, offsets = np.split(np.concatenate(levels), [4, 5], axis=1)
        kept = _each_once(boxes, scores[:, 0], 0.7)
        return _moved(boxes[kept], offsets[kept], 0)

    def _judged(self, stage: int, boxes: Array, sums: Sums) -> list[Array]:
        """Those of ``boxes`` [N, 4] in which the network of a stage sees a face, their scores and its other outputs."""
        limits = np.array([sums.shape[2] - 1, sums.shape[1] - 1])
        # facenet-pytorch counts pixels from 1
        windows = np.trunc(boxes).astype(np.int64)
        windows = np.hstack([np.maximum(windows[:, :2], 1) - 1, np.minimum(windows[:, 2:], limits)])
        inside = (windows[:, :2] < windows[:, 2:]).all(1)
        boxes, windows = boxes[inside], windows[inside]
        outputs = []
        for start in range(0, max(len(boxes), 1), _AT_ONCE):
            shown = _shrunk(sums, windows[start : start + _AT_ONCE], _SIDES[stage], _SIDES[stage])
            outputs.append(self._networks[stage].run(None, {"image": shown}))
        probabilities, *rest = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
        scores = probabilities[:, 1]
        return [each[scores > _SCORES[stage]] for each in (boxes, scores, *rest)]


def _summed(image: NDArray[np.uint8]) -> Sums:
    """Sums [3, H + 1, W + 1] of all values above and to the left of each pixel's corner, modulo 2^32.

    The sum of a window is made of four of them. It is right if it is less than 2^32 itself, whatever was carried over.
    """
    height, width, channels = image.shape
    sums = np.zeros((channels, height + 1, width + 1), np.uint32)
    image.transpose(2, 0, 1).cumsum(1, np.uint32, sums[:, 1:, 1:]).cumsum(2, out=sums[:, 1:, 1:])
    return sums


def _shrunk(sums: Sums, windows: Indices, rows: int, columns: int) -> Array:
    """Windows [N, 4] of an image resized to [N, 3, rows, columns], in [-1, 1].

    Each value is the mean of all pixels that its place touches: PyTorch's ``interpolate`` with mode "area".
    """
    left, right = (each[:, None, :] for each in _touched(windows[:, 0], windows[:, 2], columns))
    top, bottom = (each[:, :, None] for each in _touched(windows[:, 1], windows[:, 3], rows))
    areas = (bottom - top) * (right - left)
    flat, line = sums.reshape(len(sums), -1), sums.shape[2]
    totals = flat.take(bottom * line + right, axis=1)
    totals -= flat.take(bottom * line + left, axis=1)
    totals -= flat.take(top * line + right, axis=1)
    totals += flat.take(top * line + left, axis=1)
    values = totals.astype(np.float32)
    values /= areas.astype(np.float32)
    values -= np.float32(127.5)
    values *= np.float32(1 / 128)
    return np.ascontiguousarray(values.transpose(1, 0, 2, 3))


def _touched(low: Indices, high: Indices, count: int) -> tuple[Indices, Indices]:
    """Of ``count`` places between ``low`` and ``high`` [N] the first pixel that each touches, and the one after."""
    place, length = np.arange(count), (high - low)[:, None]
    return low[:, None] + place * length // count, low[:, None] - (-(place + 1) * length // count)


def _sizes(boxes: Array, edge: int) -> Array:
    return boxes[:, 2:] - boxes[:, :2] + edge


def _moved(boxes: Array, offsets: Array, edge: int) -> Array:
    """``boxes`` [N, 4], each side moved by its share of width or height; ``edge`` 1 counts the last pixel in."""
    return boxes + offsets * np.tile(_sizes(boxes, edge), 2)


def _squared(boxes: Array) -> Array:
    """The squares around the middles of ``boxes`` [N, 4], as long as their longer sides."""
    sizes = _sizes(boxes, 0)
    longest = sizes.max(1, keepdims=True)
    corners = boxes[:, :2] + sizes * 0.5 - longest * 0.5
    return np.hstack([corners, corners + longest])


def _each_once(boxes: Array, scores: Array, most: float, of_smaller: bool = False) -> Indices:
    """The indices of ``boxes`` [N, 4], surest first, without those that share more than ``most`` with a surer one.

    The measure of a share is what two boxes cover together, or the smaller one, the last pixels of both counted in.
    """
    edge = int(of_smaller)
    low, high, areas = boxes[:, :2], boxes[:, 2:], _sizes(boxes, edge).prod(1)
    left, kept = np.argsort(-scores, kind="stable"), []
    while len(left):
        first, left = left[0], left[1:]
        kept.append(first)
        sides = np.minimum(high[first], high[left]) - np.maximum(low[first], low[left]) + edge
        common = sides.clip(0).prod(1)
        whole = np.minimum(areas[first], areas[left]) if of_smaller else areas[first] + areas[left] - common
        left = left[common / whole <= most]
    return np.array(kept, np.int64)
