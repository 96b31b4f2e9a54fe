"""Following faces from frame to frame: by where they are and by who they look like.

Faces are assigned to tracks by the Hungarian method (``scipy.optimize.linear_sum_assignment``), as in SORT (Bewley et
al., 2016) with appearance as in DeepSORT (Wojke et al., 2017). Boxes are grown before they are compared, as in C-BIoU
(Yang et al., 2023): a face is small beside the way it goes between two frames. A track that breaks costs little, for
people are joined later; one that goes over to someone else spoils an identity. So in doubt a new track begins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Vector = NDArray[np.floating[Any]]

GROWN = 2.0
"""Boxes are compared at so many times their sides."""

NEAR = 0.1
"""Grown boxes that overlap (IoU) at least so much may be one face."""

UNLIKE, ALIKE = 0.25, 0.5
"""Below the first cosine a face is not the track's, wherever it is. From the second on it may also be further away:
so it is after a gap."""

UNKNOWN = (UNLIKE + ALIKE) / 2
"""The cosine of faces whose looks are not known: where they are decides."""

REACH = 3.0
"""Such a face lies at most so many face heights away for each second since the track was seen, and as many again."""

SCALE = 1.7
"""From one sight to the next a face grows or shrinks by no more than this factor."""

_NEVER = 1e6


class Placed(Protocol):
    """A face in a frame: its ``box`` [4], left, top, right, bottom, and the box's ``height``, in pixels."""

    @property
    def box(self) -> Vector: ...

    @property
    def height(self) -> float: ...


@dataclass
class Track:
    """One face followed: its ``number`` in the clip, when it was ``first`` and ``last`` seen (seconds), how often.

    ``box`` and ``latest`` are its last place and embedding, ``speed`` is in pixels a second, ``embedding_sum`` adds up
    its embeddings, each times its weight.
    """

    number: int
    first: float
    last: float
    box: Vector
    speed: Vector
    embedding_sum: Vector
    latest: Vector
    seen: int = 1

    @property
    def embedding(self) -> Vector:
        """The mean embedding, of unit length."""
        mean: Vector = self.embedding_sum / max(float(np.linalg.norm(self.embedding_sum)), 1e-9)
        return mean

    def likeness(self, embedding: Vector) -> float:
        """The cosine with the track's mean or with its latest face, whichever is larger: heads turn."""
        return float(max(embedding @ self.embedding, embedding @ self.latest))

    def expected(self, time: float) -> Vector:
        """Where the box should be at ``time``, if it goes on as it did; speed is not trusted for long."""
        moved: Vector = self.box + np.tile(self.speed * min(time - self.last, 0.5), 2)
        return moved

    def add(self, time: float, box: Vector, embedding: Vector, weight: float) -> None:
        """The face seen once more."""
        measured = (_middle(box) - _middle(self.box)) / max(time - self.last, 1e-3)
        self.speed = measured if self.seen == 1 else (self.speed + measured) / 2
        self.last, self.box, self.latest, self.seen = time, box, embedding, self.seen + 1
        self.embedding_sum = self.embedding_sum + weight * embedding


@dataclass
class Tracker:
    """The tracks of one clip. ``max_gap`` is in seconds."""

    max_gap: float
    live: list[Track] = field(default_factory=list)
    _begun: int = 0

    def end_lost(self, time: float) -> list[Track]:
        """The tracks that have not been seen for longer than ``max_gap``; they are over."""
        over = [track for track in self.live if time - track.last > self.max_gap]
        self.live = [track for track in self.live if time - track.last <= self.max_gap]
        return over

    def end_all(self) -> list[Track]:
        """All tracks; they are over: what comes next may show another time and place."""
        over, self.live = self.live, []
        return over

    def update(
        self, time: float, found: Sequence[Placed], embeddings: NDArray[np.float32], weights: list[float]
    ) -> list[Track]:
        """The track of each face in a frame, a new one where none fits.

        ``time`` must grow from call to call; ``embeddings`` [N, D] are of unit length, or [N, 0] where looks are not
        known; ``weights`` say how much each counts in its track's mean.
        """
        chosen: list[Track | None] = [None] * len(found)
        if found and self.live:
            costs = np.array(
                [[_cost(track, time, *pair) for pair in zip(found, embeddings, strict=True)] for track in self.live]
            )
            for row, column in zip(*linear_sum_assignment(costs), strict=True):
                if costs[row, column] < _NEVER:
                    chosen[column] = self.live[row]
        tracks = []
        for face, embedding, weight, track in zip(found, embeddings, weights, chosen, strict=True):
            if track is None:
                self._begun += 1
                still = np.zeros(2, np.float32)
                track = Track(self._begun, time, time, face.box, still, weight * embedding, embedding)
                self.live.append(track)
            else:
                track.add(time, face.box, embedding, weight)
            tracks.append(track)
        return tracks


def _cost(track: Track, time: float, face: Placed, embedding: Vector) -> float:
    """How ill a face fits a track; ``_NEVER`` where it cannot be the same."""
    alike = track.likeness(embedding) if embedding.size else UNKNOWN
    old, new = float(track.box[3] - track.box[1]), face.height
    if alike < UNLIKE or not 1 / SCALE <= new / max(old, 1e-6) <= SCALE:
        return _NEVER
    expected = track.expected(time)
    near = _iou(_grown(expected), _grown(face.box))
    away = float(np.linalg.norm(_middle(face.box) - _middle(expected)))
    within_reach = away <= REACH * max(old, new) * (1 + time - track.last)
    if near < NEAR and not (alike >= ALIKE and within_reach):
        return _NEVER
    return 2 - near - alike


def _middle(box: Vector) -> Vector:
    middle: Vector = (box[:2] + box[2:]) / 2
    return middle


def _grown(box: Vector) -> Vector:
    half = (box[2:] - box[:2]) * (GROWN / 2)
    return np.concatenate([_middle(box) - half, _middle(box) + half])


def _iou(one: Vector, other: Vector) -> float:
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = float(np.prod(sides.clip(0)))
    total = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2])) - shared
    return shared / max(total, 1e-6)
