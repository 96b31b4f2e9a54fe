"""One process, or as many as ``torchrun`` started, on CPU or GPU."""

import ctypes
import os

from lightning_fabric import Fabric

from facerecon.errors import FaceReconError
from facerecon.training.precision import precision_of
from facerecon.training.settings import LoopSettings

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Names of glibc's ``malloc.h``."""


def keep_freed_memory() -> None:
    """Have glibc keep up to 2 GiB that this process has freed; without glibc nothing happens.

    A step frees hundreds of MB and asks for as much again: given back meanwhile, it comes page by page.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 2**30)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_TOP_PAD, 2**26)


def launch(settings: LoopSettings) -> Fabric:
    """Lightning Fabric, launched: what torchrun says in the environment, else this process alone.

    Raises:
        FaceReconError: the batches cannot be shared evenly by so many processes.
    """
    keep_freed_memory()
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
        # a family may leave parts of its network out of some steps, as ``set_progress`` says
        strategy="ddp_find_unused_parameters_true" if processes > 1 else "auto",
        precision=precision_of(settings),
    )
    fabric.launch()
    return fabric
