"""The network of a trained inpainting model."""

from typing import cast

from facerecon.models import ReconstructionModel
from facerecon.models.trained import TrainedModel


def network_of(trained: TrainedModel) -> ReconstructionModel:
    """The network with these weights, in evaluation mode on the CPU."""
    return cast(ReconstructionModel, trained.build())
