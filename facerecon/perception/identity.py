"""Identity: networks that tell whether two photos show the same person, behind one interface and one registry."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from facerecon.errors import FaceReconError
from facerecon.perception.warp import warp


class IdentityNetwork(nn.Module, ABC):
    """A frozen network that turns a face into a point on the unit sphere: the same person, close points.

    ``input_size`` is the side of the crop it takes in pixels, ``dimensions`` the length of an embedding, ``licence``
    that of its weights. ``template`` [5, 2] is where it expects the left eye, right eye, nose, left and right corner
    of the mouth, in pixels of the crop, (0, 0) being its corner. A network whose ``teaches`` is False judges only and
    is no loss. ``same_person`` is the cosine that tells pairs of one person from pairs of two best, on LFW.
    """

    name: ClassVar[str]
    input_size: ClassVar[int]
    dimensions: ClassVar[int]
    licence: ClassVar[str]
    teaches: ClassVar[bool] = True
    same_person: ClassVar[float | None] = None
    template: Tensor

    @abstractmethod
    def network(self, crops: Tensor) -> Tensor:
        """Embeddings [N, dimensions], of any length, of crops [N, 3, input_size, input_size] in [-1, 1]."""

    def describe(self, images: Tensor, points: Tensor) -> Tensor:
        """Embeddings [N, dimensions] of the length that the network gives them, differentiable by ``images``.

        ``images`` [N, 3, H, W] in [-1, 1]; ``points`` [N, 5, 2] in pixels of these images in the order of
        ``facerecon.perception.landmarks.five_points``.
        """
        return self.network(warp(images, points, self.template, self.input_size)).float()

    def embed(self, images: Tensor, points: Tensor) -> Tensor:
        """``describe`` brought to unit length: the cosine of two faces is the product of their embeddings."""
        return F.normalize(self.describe(images, points))

    def forward(self, images: Tensor, points: Tensor) -> Tensor:
        """The same as ``embed``."""
        return self.embed(images, points)


_REGISTRY: dict[str, type[IdentityNetwork]] = {}


def register(network: type[IdentityNetwork]) -> type[IdentityNetwork]:
    """Make a class that needs no arguments known to ``load_identity`` under its ``name``."""
    _REGISTRY[network.name] = network
    return network


def _networks() -> dict[str, type[IdentityNetwork]]:
    # each module registers its network
    from facerecon.perception import dlib, facenet, sface  # noqa: F401

    return _REGISTRY


def identity_names() -> list[str]:
    """The names of all registered networks, sorted."""
    return sorted(_networks())


def load_identity(name: str = "sface") -> IdentityNetwork:
    """The network ``name``, frozen and in evaluation mode.

    Raises ``FaceReconError`` for an unknown name or when its weights cannot be had.
    """
    return _class_of(name)().requires_grad_(False).eval()


def load_teacher(name: str = "sface") -> IdentityNetwork:
    """As ``load_identity``, for a loss.

    Raises ``FaceReconError`` for a network that judges only, too: its figures must not come from what it has taught.
    """
    if not _class_of(name).teaches:
        teachers = ", ".join(other for other in identity_names() if _networks()[other].teaches)
        raise FaceReconError(
            f"the identity network {name!r} judges only and cannot be a loss: choose one of {teachers}"
        )
    return load_identity(name)


def _class_of(name: str) -> type[IdentityNetwork]:
    if name not in _networks():
        raise FaceReconError(f"no identity network is called {name!r}: choose one of {', '.join(identity_names())}")
    return _networks()[name]
