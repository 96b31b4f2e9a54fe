"""Aligned faces as tensors, and the order in which a training sees them.

Every random choice is a function of (seed, epoch, face), so neither the number of loader workers nor where a run was
resumed changes what the network sees.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Sampler

from facerecon.data.manifest import Manifest
from facerecon.data.store import FacePoints
from facerecon.randomness import generator, unit_interval


@dataclass(frozen=True)
class Draw:
    """One training sample to make: row ``index`` in ``epoch``, at ``progress`` in [0, 1] of the run."""

    index: int
    epoch: int
    progress: float


def to_tensor(image: NDArray[np.uint8] | NDArray[np.float32]) -> Tensor:
    """[H, W, 3] with values 0..255 as float32 [3, H, W] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)) / 127.5 - 1


class StepSampler(Sampler[list[Draw]]):
    """Batches from step ``start`` to the run's end: each epoch a permutation by (seed, epoch), without a seam.

    A batch may span two epochs, so every batch has ``batch_size`` faces however few there are. ``share`` is (rank,
    processes): of each batch a process gets its own faces, all together those that one alone would get.

    With ``mixed``, faces are drawn from two groups, each in permutations of its own: as near as whole faces allow, the
    share of the faces that are ``chosen`` is ``mixed.share`` from the first batch on.
    """

    def __init__(
        self,
        faces: int,
        batch_size: int,
        batches: int,
        seed: int,
        start: int = 0,
        share: tuple[int, int] = (0, 1),
        mixed: "Mixed | None" = None,
    ) -> None:
        self.faces, self.batch_size, self.batches, self.seed, self.start = faces, batch_size, batches, seed, start
        self.rank, self.processes = share
        self.mixed = mixed

    def __len__(self) -> int:
        return self.batches - self.start

    def __iter__(self) -> Iterator[list[Draw]]:
        everything = _Shuffled(np.arange(self.faces), self.seed, "order")
        groups = None if self.mixed is None else self.mixed.groups(self.seed)
        for batch in range(self.start, self.batches):
            draws = []
            for position in range(batch * self.batch_size, (batch + 1) * self.batch_size):
                of, place = everything, position
                if groups is not None and self.mixed is not None:
                    before, after = (math.floor(count * self.mixed.share) for count in (position, position + 1))
                    of, place = (groups[0], before) if after > before else (groups[1], position - before)
                index, epoch = of.at(place)
                draws.append(Draw(index, epoch, batch / self.batches))
            yield draws[self.rank :: self.processes]


class _Shuffled:
    """Faces by position: each epoch a permutation of the ``members`` by (seed, epoch, ``name``)."""

    def __init__(self, members: NDArray[np.int64], seed: int, name: str) -> None:
        self.members, self.seed, self.name = members, seed, name
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def at(self, position: int) -> tuple[int, int]:
        """The face at a position, and its epoch."""
        epoch, place = divmod(position, len(self.members))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, generator(self.seed, epoch, self.name).permutation(len(self.members))
        return int(self.members[self._order[place]]), epoch


@dataclass(frozen=True)
class Mixed:
    """Of all draws the ``share``, in (0, 1), comes from the faces that are ``chosen`` [N], the rest from the others."""

    chosen: NDArray[np.bool_]
    share: float

    def groups(self, seed: int) -> tuple[_Shuffled, _Shuffled]:
        """The chosen faces and the others, each to be drawn in an order of its own."""
        chosen, others = np.nonzero(self.chosen)[0], np.nonzero(~self.chosen)[0]
        return _Shuffled(chosen, seed, "order of the chosen"), _Shuffled(others, seed, "order of the others")


@dataclass(frozen=True)
class EvaluationFaces:
    """Faces held in memory for evaluation: ``images`` uint8 [N, H, W, 3], ``points`` and manifest ``rows``.

    ``parts`` are the labels uint8 [H, W] of a face's parts, None where its source has none.
    """

    rows: pd.DataFrame
    images: NDArray[np.uint8]
    points: list[FacePoints]
    parts: list[NDArray[np.uint8] | None]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def faces(self) -> tuple[str, ...]:
        """What scores are keyed by."""
        return tuple(map(str, self.rows["face"]))

    @property
    def sha256s(self) -> list[str]:
        """What evaluation masks are chosen by."""
        return self.rows["sha256"].tolist()

    def those(self, index: Sequence[int]) -> "EvaluationFaces":
        """Those at ``index``."""
        return EvaluationFaces(
            self.rows.iloc[list(index)].reset_index(drop=True),
            self.images[list(index)],
            [self.points[at] for at in index],
            [self.parts[at] for at in index],
        )

    def points5(self) -> Tensor:
        """Five points of each face [N, 5, 2] in crop pixels."""
        five = [points.five for points in self.points]
        return torch.from_numpy(np.array(five, dtype=np.float32).reshape(-1, 5, 2))


GATES = ("gate", "gate_old", "gate_new")
"""The face sets on which promotion is decided."""


def evaluation_faces(manifest: Manifest, name: str, most: int) -> EvaluationFaces:
    """At most ``most`` faces of a split or of a named set, chosen by hash of their content, so that growth changes few.

    At the gate none of who was in another split before: a champion of then may have been trained on them.
    """
    rows = manifest.split(name)
    if name in GATES:
        rows = rows[~rows["identity"].isin(manifest.moved)]
    chosen = sorted(rows.index, key=lambda i: unit_interval("evaluate", str(rows.at[i, "face"])))[:most]
    rows = rows.loc[sorted(chosen)].reset_index(drop=True)
    faces, store = rows["face"].tolist(), manifest.aligned_faces
    points, parts = [store.points(face) for face in faces], [store.parts(face) for face in faces]
    return EvaluationFaces(rows, store.crops(faces, manifest.size), points, parts)
