"""The network of a trained restoration model."""

from typing import cast

from facerecon.models.restoration import RestorationModel
from facerecon.models.trained import TrainedModel


def network_of(trained: TrainedModel) -> RestorationModel:
    """The network with these weights, in evaluation mode on the CPU."""
    return cast(RestorationModel, trained.build())
