"""Identity: networks that tell whether two photos show the same person, behind one interface and one registry."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from facerecon.errors import FaceReconError
from facerecon.perception.warp import warp


class IdentityNetwork(nn.Module, ABC):
    """A frozen network that turns a face into a point on the unit sphere: the same person, close points.

    ``input_size`` is the side of the crop it takes in pixels, ``dimensions`` the length of an embedding, ``licence``
    that of its weights. ``template`` [5, 2] is where it expects the left eye, right eye, nose, left and right corner
    of the mouth, in pixels of the crop, (0, 0) being its corner.
    """

    name: ClassVar[str]
    input_size: ClassVar[int]
    dimensions: ClassVar[int]
    licence: ClassVar[str]
    template: Tensor

    @abstractmethod
    def network(self, crops: Tensor) -> Tensor:
        """Embeddings [N, dimensions], of any length, of crops [N, 3, input_size, input_size] in [-1, 1]."""

    def embed(self, images: Tensor, points: Tensor) -> Tensor:
        """Embeddings [N, dimensions] of unit length, differentiable by ``images``.

        ``images`` [N, 3, H, W] in [-1, 1]; ``points`` [N, 5, 2] in pixels of these images in the order of
        ``facerecon.data.landmarks.five_points``. The cosine of two faces is the product of their embeddings.
        """
        return F.normalize(self.network(warp(images, points, self.template, self.input_size)).float())

    def forward(self, images: Tensor, points: Tensor) -> Tensor:
        """The same as ``embed``."""
        return self.embed(images, points)


_REGISTRY: dict[str, Callable[[], IdentityNetwork]] = {}


def register(network: type[IdentityNetwork]) -> type[IdentityNetwork]:
    """Make a class that needs no arguments known to ``load_identity`` under its ``name``."""
    _REGISTRY[network.name] = network
    return network


def identity_names() -> list[str]:
    """The names of all registered networks, sorted."""
    return sorted(_REGISTRY)


def load_identity(name: str = "sface") -> IdentityNetwork:
    """The network ``name``, frozen and in evaluation mode.

    Raises ``FaceReconError`` for an unknown name or when its weights cannot be had.
    """
    if name not in _REGISTRY:
        raise FaceReconError(f"no identity network is called {name!r}: choose one of {', '.join(identity_names())}")
    return _REGISTRY[name]().requires_grad_(False).eval()
