"""One process, or as many as ``torchrun`` started, on CPU or GPU."""

import os

from lightning_fabric import Fabric

from facerecon.config.training import TrainingSettings
from facerecon.errors import FaceReconError


def launch(settings: TrainingSettings) -> Fabric:
    """Lightning Fabric, launched: what torchrun says in the environment, else this process alone.

    Raises:
        FaceReconError: the batches cannot be shared evenly by so many processes.
    """
    processes = int(os.environ.get("WORLD_SIZE", 1))
    if settings.batch_size % processes:
        raise FaceReconError(
            f"training.batch_size = {settings.batch_size}: it is shared by {processes} processes: "
            f"give a multiple of {processes}"
        )
    fabric = Fabric(
        accelerator=settings.accelerator,
        devices=int(os.environ.get("LOCAL_WORLD_SIZE", 1)),
        num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", 1)),
        strategy="ddp" if processes > 1 else "auto",
        precision=settings.precision,
    )
    fabric.launch()
    return fabric
