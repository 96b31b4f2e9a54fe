"""The networks that judge images of faces: how alike two look, and whether they show one person."""

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facerecon.evaluation.keys import Metric
from facerecon.evaluation.metrics import from_uint8
from facerecon.evaluation.settings import Backbone
from facerecon.perception.identity import IdentityNetwork, load_identity
from facerecon.perception.lpips import LPIPS


@dataclass(frozen=True)
class Truth:
    """A batch of true faces: names, images uint8 [N, H, W, 3], five points [N, 5, 2], what the judges see in them."""

    faces: tuple[str, ...]
    images: NDArray[np.uint8]
    points: Tensor
    features: list[Tensor]
    embeddings: Tensor

    def take(self, chosen: NDArray[np.bool_]) -> "Truth":
        """The faces that are ``chosen`` [N]."""
        if chosen.all():
            return self
        index = torch.from_numpy(chosen)
        return Truth(
            tuple(face for face, takes in zip(self.faces, chosen, strict=True) if takes),
            self.images[chosen],
            self.points[index],
            [feature[index] for feature in self.features],
            self.embeddings[index] if len(self.embeddings) else self.embeddings,
        )


class Judges:
    """The perceptual and the identity network that measure two metrics; they are loaded when they are first needed.

    Without ``identity`` nobody is looked at for who they are.
    """

    def __init__(self, lpips: Metric, identity: Metric | None) -> None:
        self.lpips, self.identity = lpips, identity

    @cached_property
    def perceptual_network(self) -> LPIPS:
        """The LPIPS network."""
        return LPIPS(cast(Backbone, self.lpips.judge.removeprefix("lpips_")))

    @cached_property
    def identity_network(self) -> IdentityNetwork:
        """The identity network."""
        assert self.identity is not None
        return load_identity(self.identity.judge)

    def look(self, faces: tuple[str, ...], images: NDArray[np.uint8], points: Tensor) -> Truth:
        """See true faces uint8 [N, H, W, 3] once, for all that is measured against them."""
        seen = from_uint8(images)
        embeddings = torch.empty(0) if self.identity is None else self.identity_network.embed(seen, points)
        return Truth(faces, images, points, self.perceptual_network.features(seen), embeddings)

    def distance(self, images: Tensor, truth: Truth) -> Tensor:
        """The perceptual distance [N] of images uint8 [N, 3, H, W]."""
        return self.perceptual_network.distance(
            self.perceptual_network.features(images.float() / 127.5 - 1), truth.features
        )

    def cosine(self, images: Tensor, truth: Truth) -> Tensor:
        """Cosine [N] of each image's embedding with that of the true face; images uint8 [N, 3, H, W]."""
        return (self.embed(images, truth.points) * truth.embeddings).sum(dim=1)

    def embed(self, images: Tensor, points: Tensor) -> Tensor:
        """Embeddings [N, D] of unit length of images uint8 [N, 3, H, W] with five points [N, 5, 2]."""
        return self.identity_network.embed(images.float() / 127.5 - 1, points)
