"""A discriminator that one process teaches, or two that torchrun starts: ``PRECISION FILE``. Started by a test."""

import os
import sys
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from facerecon.errors import DivergedError
from facerecon.tasks.restoration.adversarial import Adversary
from facerecon.tasks.restoration.adversarial_settings import AdversarialSettings
from facerecon.training.objective import Progress

SIZE, COUNT = 32, 8


def main(precision: Any, path: str) -> None:
    """Two steps of generator and discriminator with R1; keeps the gradients of the second one."""
    world = int(os.environ.get("WORLD_SIZE", 1))
    strategy = "ddp_find_unused_parameters_true" if world > 1 else "auto"
    fabric = Fabric(accelerator="cpu", devices=world, strategy=strategy, precision=precision)
    fabric.launch()
    torch.manual_seed(0)
    settings = AdversarialSettings(width=8, loss="hinge", noise=0.0, whole_norm="none", penalty_interval=1)
    adversary = Adversary(settings, fabric, SIZE)
    generator = nn.Conv2d(3, 3, 3, padding=1)
    network, optimizer = fabric.setup(generator, torch.optim.SGD(generator.parameters(), 0.1))
    gradients: dict[str, Tensor] = {}

    def keep(*_: Any) -> None:
        for name, weight in adversary.discriminator.named_parameters():
            gradients[name] = cast(Tensor, weight.grad).clone()

    adversary.optimizers["adam_discriminator"].register_step_pre_hook(keep)
    for step in range(2):
        progress, pairs = Progress(step, 3), []
        for batch in range(2):
            degraded, real = torch.rand(2, COUNT, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(step)) * 2 - 1
            mine = slice(fabric.global_rank, None, world)
            with fabric.no_backward_sync(network, enabled=batch == 0), fabric.autocast():
                made = network(degraded[mine])
                adversarial, pixel = adversary.generator_term(made, real[mine], progress), made.square().mean()
                fabric.backward((pixel + adversarial) / 2)
            pairs.append((made.detach(), real[mine]))
        optimizer.step()
        optimizer.zero_grad()
        adversary.step(pairs, progress)
    if fabric.is_global_zero:
        torch.save(gradients, path)
    # in the last process what is made can be told apart, in others it cannot: of all together that is a win
    settings = AdversarialSettings(
        width=8, noise=0.0, whole_norm="none", patch_norm="none", penalty="none", win_loss=1.0, win_steps=1
    )
    winner = Adversary(settings, fabric, SIZE)
    for weight in winner.discriminator.parameters():
        nn.init.constant_(weight, 0.05 if weight.ndim > 1 else 0.0)
    images = torch.full((COUNT, 3, SIZE, SIZE), 1e-4 if fabric.global_rank == world - 1 else 0.0)
    try:
        winner.step([(-images, images)], Progress(2, 3))
    except DivergedError as error:
        print(error.message, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
