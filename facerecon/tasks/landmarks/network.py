"""The network of a trained landmark model."""

from typing import cast

from facerecon.models.landmarks import LandmarkModel
from facerecon.models.trained import TrainedModel


def network_of(trained: TrainedModel) -> LandmarkModel:
    """The network with these weights, in evaluation mode on the CPU."""
    return cast(LandmarkModel, trained.build())
