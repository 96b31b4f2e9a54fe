"""The objective of landmarks: one network under AdamW and a cosine schedule."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from facerecon.models.landmarks import LandmarkModel
from facerecon.tasks.landmarks.dataset import Batch
from facerecon.tasks.landmarks.losses import landmark_loss
from facerecon.tasks.landmarks.training_settings import TrainingSettings
from facerecon.training.network_objective import NetworkObjective
from facerecon.training.objective import Progress, check_finite
from facerecon.training.schedule import learning_rate


class LandmarkObjective(NetworkObjective[LandmarkModel, TrainingSettings]):
    """Trains ``model`` on points, depth and confidence."""

    def step(self, batches: Sequence[Batch], progress: Progress) -> Mapping[str, Tensor]:
        fabric, step = self.fabric, progress.step
        self.set_rate(learning_rate(step, self.settings))
        losses = []
        for index, batch in enumerate(batches):
            with fabric.no_backward_sync(self.network, enabled=index + 1 < len(batches)):
                with fabric.autocast():
                    output = self.network(batch.image)
                loss = landmark_loss(output, batch, self.settings.losses)
                check_finite("loss", loss.total, loss.terms, step)
                fabric.backward(loss.total / len(batches))
            losses.append({"total": loss.total.detach(), **loss.terms})
        self.update(losses[-1], step)
        named = [name for name in losses[0] if all(name in each for each in losses)]
        return {name: torch.stack([each[name] for each in losses]).mean() for name in named}
